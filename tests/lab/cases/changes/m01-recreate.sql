-- CASE m01: a table dropped and made again
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t VALUES (1,'old'),(2,'old');
--@ meanwhile
DROP TABLE t;
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t VALUES (7,'new');
--@ check
SELECT * FROM t;
