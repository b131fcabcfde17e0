-- CASE M4: tables with a history, whose rows change between the copy and the hold: with named times, with numbers of single precision, in parts by time
-- ENGINE: mariadb
-- RIGHT: every version of each row is there, with its times, and what is the row now is it there
--@ account
CREATE TABLE price (id int PRIMARY KEY, amount float) WITH SYSTEM VERSIONING;
CREATE TABLE named (id int PRIMARY KEY, v varchar(9), since timestamp(6) GENERATED ALWAYS AS ROW START,
  until timestamp(6) GENERATED ALWAYS AS ROW END INVISIBLE, PERIOD FOR SYSTEM_TIME (since, until)) WITH SYSTEM VERSIONING;
CREATE TABLE parted (id int PRIMARY KEY, v int) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME
  (PARTITION old HISTORY, PARTITION now CURRENT);
CREATE TABLE partly (id int PRIMARY KEY, kept int, loose int WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING;
INSERT INTO price VALUES (1, 1.5), (2, 0.1), (3, 3); UPDATE price SET amount = amount * 3; DELETE FROM price WHERE id = 3;
INSERT INTO named (id, v) VALUES (1, 'a'), (2, 'b'); UPDATE named SET v = 'c' WHERE id = 1;
INSERT INTO parted VALUES (1, 1), (2, 2); UPDATE parted SET v = 3;
INSERT INTO partly VALUES (1, 1, 1); UPDATE partly SET kept = 2; UPDATE partly SET loose = 2;
SET timestamp = 1500000000.25; INSERT INTO price VALUES (9, 9); SET timestamp = 1500000001.75; DELETE FROM price WHERE id = 9;
--@ meanwhile
UPDATE price SET amount = amount + 1 WHERE id = 1; DELETE FROM price WHERE id = 2;
UPDATE named SET v = 'd'; DELETE FROM parted WHERE id = 1;
--@ check
SELECT id, amount, UNIX_TIMESTAMP(row_start), IF(row_end > NOW(6), 'now', UNIX_TIMESTAMP(row_end)) FROM price FOR SYSTEM_TIME ALL ORDER BY id, row_start;
SELECT id, v, UNIX_TIMESTAMP(since), IF(until > NOW(6), 'now', UNIX_TIMESTAMP(until)) FROM named FOR SYSTEM_TIME ALL ORDER BY id, since;
SELECT id, v, UNIX_TIMESTAMP(row_start), IF(row_end > NOW(6), 'now', UNIX_TIMESTAMP(row_end)) FROM parted FOR SYSTEM_TIME ALL ORDER BY id, row_start;
SELECT COUNT(*) FROM partly FOR SYSTEM_TIME ALL;
SELECT id, amount FROM price; SELECT id, v FROM named ORDER BY id; SELECT * FROM parted;
--@ expect
the same on both servers
