-- CASE M7: routines, triggers, events and views that were made in other modes of SQL, and several triggers of one event
-- ENGINE: mariadb
-- RIGHT: the account moves, and each runs in the mode that it was made in
--@ account
CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, v varchar(50), n int DEFAULT 0); CREATE TABLE log (id int AUTO_INCREMENT PRIMARY KEY, w text);
SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,IGNORE_SPACE'; CREATE FUNCTION ansi(a varchar(20)) RETURNS varchar(50) DETERMINISTIC RETURN "a" || '\n' || 'x'; CREATE VIEW of_ansi AS SELECT "id", "v" || '\z' AS "q" FROM "t"; CREATE TRIGGER one BEFORE INSERT ON t FOR EACH ROW SET NEW.v = NEW.v || '-\1';
SET sql_mode = 'ORACLE';
DELIMITER //
CREATE FUNCTION ora(a NUMBER) RETURN NUMBER AS b NUMBER := 3; BEGIN RETURN a + b; END;
//
CREATE PACKAGE pack AS FUNCTION f RETURN INT; END;
//
CREATE PACKAGE BODY pack AS FUNCTION f RETURN INT AS BEGIN RETURN 77; END; END;
//
DELIMITER ;
SET sql_mode = ''; CREATE TRIGGER three BEFORE INSERT ON t FOR EACH ROW SET NEW.n = NEW.n * 10; CREATE TRIGGER two BEFORE INSERT ON t FOR EACH ROW PRECEDES three SET NEW.n = NEW.n + 1; CREATE TRIGGER four AFTER INSERT ON t FOR EACH ROW INSERT INTO log (w) VALUES (CONCAT(NEW.v, 1/0 IS NULL));
SET sql_mode = 'REAL_AS_FLOAT,HIGH_NOT_PRECEDENCE'; CREATE FUNCTION notted(a int) RETURNS int DETERMINISTIC RETURN NOT a BETWEEN -5 AND 5; SET time_zone = '+05:30'; SET lc_time_names = 'de_DE'; CREATE EVENT zoned ON SCHEDULE EVERY 3 MONTH STARTS '2032-02-29 12:00:00' ENDS '2036-01-01 00:00:00' ENABLE DO INSERT INTO log (w) VALUES ('x'); SET time_zone = DEFAULT; SET character_set_client = latin1; SET sql_mode = DEFAULT; SET NAMES utf8mb4;
CREATE FUNCTION two_args(a varchar(10) CHARACTER SET latin1, b set('x','y')) RETURNS enum('p','q') CHARACTER SET latin1 DETERMINISTIC SQL SECURITY INVOKER COMMENT 'c''c' RETURN 'q'; 
DELIMITER //
CREATE AGGREGATE FUNCTION total(x int) RETURNS int BEGIN DECLARE s int DEFAULT 0; DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN s; LOOP FETCH GROUP NEXT ROW; SET s = s + x; END LOOP; END;
//
DELIMITER ;
INSERT INTO t (v, n) VALUES ('a', 1), ('b', 2);
--@ meanwhile
INSERT INTO t (v, n) VALUES ('c', 3);
--@ check
SELECT * FROM t ORDER BY id; SELECT * FROM log ORDER BY id; SELECT HEX(ansi('q')); SELECT * FROM of_ansi ORDER BY 1; SET sql_mode = 'ORACLE'; SELECT pack.f() FROM dual; SET sql_mode = DEFAULT; SELECT ora(4), notted(9), two_args('a', 'x'); SELECT total(n) FROM t; SELECT trigger_name, action_order, sql_mode, action_statement FROM information_schema.triggers WHERE trigger_schema = database() ORDER BY 1; SELECT routine_name, routine_type, sql_mode, security_type, routine_comment FROM information_schema.routines WHERE routine_schema = database() ORDER BY 1, 2; SELECT event_name, time_zone, starts, ends, status, sql_mode FROM information_schema.events WHERE event_schema = database();
--@ expect
(as before)
