-- CASE m12: keys that only their collation calls equal
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE t (id int NOT NULL, u int NOT NULL, a varchar(20) COLLATE utf8mb4_general_ci, UNIQUE KEY z (a), UNIQUE KEY y (u));
INSERT INTO t VALUES (1,1,'x'),(2,2,'y');
--@ meanwhile
UPDATE t SET u = u + 100;
UPDATE t SET a = 'X' WHERE id = 1;
DELETE FROM t WHERE id = 2;
--@ check
SELECT * FROM t;
