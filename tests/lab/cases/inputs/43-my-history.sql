-- CASE 43: a system-versioned table with history (audit trail)
-- SOURCE: mydumper/mydumper #932 (MDEV-16029)
-- ENGINE: mariadb
-- RIGHT: the account moves with its history (both versions know system_versioning_insert_history)
--@ account
CREATE TABLE price (id int PRIMARY KEY, amount int) WITH SYSTEM VERSIONING;
INSERT INTO price VALUES (1, 10); UPDATE price SET amount = 11; UPDATE price SET amount = 12;
--@ check
SELECT COUNT(*) FROM price FOR SYSTEM_TIME ALL;
--@ expect
3
