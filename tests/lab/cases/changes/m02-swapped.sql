-- CASE m02: tables swapped by RENAME
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t VALUES (1,'old'),(2,'old');
--@ meanwhile
CREATE TABLE n LIKE t;
INSERT INTO n VALUES (9,'new');
RENAME TABLE t TO o, n TO t;
DROP TABLE o;
--@ check
SELECT * FROM t;
