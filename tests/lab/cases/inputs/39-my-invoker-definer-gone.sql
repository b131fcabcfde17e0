-- CASE 39: SQL SECURITY INVOKER objects whose definer never existed on this server (imported from the customer's last host): they work
-- SOURCE: jobrunr/jobrunr PR#1590; TryGhost/Ghost PR#28989; apache/cloudstack #3221; pimcore/pimcore PR#1242; mydumper/mydumper #435
-- ENGINE: mariadb
-- RIGHT: the account moves; such a definer may be replaced by one of the account's users, as the invoker counts
--@ account
CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 5);
--@ root
USE acct_db;
CREATE DEFINER = `oldhost_user`@`%` SQL SECURITY INVOKER VIEW doubled AS SELECT id, v * 2 AS v FROM t;
CREATE DEFINER = `oldhost_user`@`%` FUNCTION plus_one(n int) RETURNS int DETERMINISTIC SQL SECURITY INVOKER RETURN n + 1;
--@ check
SELECT v, plus_one(1) FROM doubled;
--@ expect
10	2
