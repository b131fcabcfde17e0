-- CASE m14: rows changed under a NOBLOB image
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE t (id int PRIMARY KEY, a text, b longblob, n int);
INSERT INTO t VALUES (1,'old',REPEAT('x',9000),1),(2,'old',NULL,2),(3,'old','y',3);
--@ meanwhile as root
SET SESSION binlog_row_image = NOBLOB;
UPDATE t SET n = 10 WHERE id = 1;
UPDATE t SET b = 'new' WHERE id = 2;
DELETE FROM t WHERE id = 3;
--@ check
SELECT id, a, MD5(b), n FROM t ORDER BY id;
