-- CASE m09: TRUNCATE by a procedure
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
DELIMITER //
CREATE TABLE t (id int PRIMARY KEY)//
INSERT INTO t VALUES (1),(2)//
CREATE PROCEDURE p() BEGIN SET @s = CONCAT('TRUN', 'CATE TABLE t'); PREPARE x FROM @s; EXECUTE x; INSERT INTO t VALUES (9); END//
DELIMITER ;
--@ meanwhile
CALL p();
--@ check
SELECT * FROM t;
