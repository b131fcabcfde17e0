-- CASE m16: changes that a session keeps out of the log
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE t (id int PRIMARY KEY, a text);
CREATE TABLE u (id int PRIMARY KEY, a text);
INSERT INTO t VALUES (1,'old'),(2,'old');
INSERT INTO u VALUES (1,'old');
--@ meanwhile as root
SELECT SLEEP(1.1);
SET SESSION sql_log_bin = 0;
UPDATE t SET a = 'new' WHERE id = 1;
INSERT INTO u VALUES (2,'new');
ALTER TABLE u ADD COLUMN more int DEFAULT 4;
CREATE DEFINER = acct@localhost VIEW v AS SELECT a FROM t;
--@ check
SELECT * FROM t ORDER BY id; SELECT * FROM u ORDER BY id; SELECT * FROM v ORDER BY a;
