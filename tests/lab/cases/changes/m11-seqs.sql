-- CASE m11: sequences and numbering
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE SEQUENCE s;
SELECT NEXTVAL(s);
CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY);
INSERT INTO t VALUES (NULL);
--@ meanwhile
ALTER SEQUENCE s INCREMENT BY 10 MAXVALUE 5000;
SELECT NEXTVAL(s);
INSERT INTO t VALUES (500);
DELETE FROM t WHERE id = 500;
--@ check
SELECT increment, maximum_value FROM s; SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 't';
