-- CASE M9: names that are keywords or functions of the newer version, wherever a name can stand
-- ENGINE: mariadb
-- RIGHT: the account moves, and all of it works as before, or the test says what does not
--@ account
CREATE TABLE `vector` (id int PRIMARY KEY, `row_number` int, `conversion` int, `to_date` text, `record` int, `overlaps` int, `optional` int); INSERT INTO `vector` VALUES (1, 2, 3, 'd', 4, 5, 6);
CREATE TABLE t (id int PRIMARY KEY, vector int, account text, always int, history int, system int, period int, invisible int, cycle int, previous int, package text, body text, json text, soname text, locked int, skip int, nested int, ordinality int, path text, empty int, error int); INSERT INTO t (id, vector) VALUES (1, 9);
CREATE FUNCTION vec_distance(a int, b int) RETURNS int DETERMINISTIC RETURN a - b; CREATE FUNCTION sformat_of(a int) RETURNS int DETERMINISTIC RETURN 6; CREATE FUNCTION vec_totext(a int) RETURNS int DETERMINISTIC RETURN 12; CREATE FUNCTION json_array_intersect(a int) RETURNS int DETERMINISTIC RETURN 13;
CREATE VIEW w AS SELECT vector, account AS vector_2, id AS `row_number` FROM t; 
DELIMITER //
CREATE PROCEDURE uses() BEGIN DECLARE `vector` int DEFAULT 3; SELECT `vector`, t.`vector` AS v FROM t; END;
//
DELIMITER ;
 CREATE TRIGGER record BEFORE INSERT ON t FOR EACH ROW SET NEW.history = COALESCE(NEW.vector, 1);
--@ meanwhile
UPDATE t SET vector = 10; INSERT INTO t (id, vector) VALUES (2, 8);
--@ check
SELECT id, `row_number`, `conversion`, `to_date` FROM `vector`; SELECT id, `vector`, history FROM t ORDER BY id; SELECT * FROM w ORDER BY 3; CALL uses(); SELECT sformat_of(1), acct_db.vec_distance(5, 3);
--@ expect
(as before)
