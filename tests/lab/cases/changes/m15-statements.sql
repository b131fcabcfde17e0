-- CASE m15: changes that a session logs as statements, by a function too
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE t (id int PRIMARY KEY, a text);
CREATE TABLE u (id int PRIMARY KEY, a text);
DELIMITER //
CREATE FUNCTION writes(n int) RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO u VALUES (n, 'by the function'); RETURN n; END//
DELIMITER ;
INSERT INTO t VALUES (1,'old'),(2,'old');
--@ meanwhile as root
SET SESSION binlog_format = STATEMENT;
UPDATE t SET a = 'new' WHERE id = 1;
SELECT writes(5);
--@ check
SELECT * FROM t ORDER BY id; SELECT * FROM u ORDER BY id;
