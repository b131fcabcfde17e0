-- CASE M3: what was made when the database was latin1 has latin1 parameters and variables for ever, though the database is utf8mb4 now
-- ENGINE: mariadb
-- RIGHT: the account moves, and routine, trigger and package know the collation that they were made under
--@ account
ALTER DATABASE acct_db CHARACTER SET latin1 COLLATE latin1_german1_ci;
CREATE TABLE t (id int PRIMARY KEY, v varchar(20) CHARACTER SET utf8mb4, was varchar(20));
CREATE FUNCTION kind_of(p varchar(20)) RETURNS varchar(40) DETERMINISTIC RETURN CONCAT(CHARSET(p), ' ', COLLATION(p));
DELIMITER //
CREATE TRIGGER t_bi BEFORE INSERT ON t FOR EACH ROW BEGIN DECLARE x varchar(20) DEFAULT NEW.v; SET NEW.was = CHARSET(x); END//
DELIMITER ;
ALTER DATABASE acct_db CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
INSERT INTO t (id, v) VALUES (1, 'a');
--@ meanwhile
INSERT INTO t (id, v) VALUES (2, 'b');
--@ check
SELECT kind_of('x'); SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE(); SELECT DATABASE_COLLATION FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE();
INSERT INTO t (id, v) VALUES (3, 'c'); SELECT was FROM t; DELETE FROM t WHERE id = 3;
--@ expect
latin1 latin1_german1_ci
utf8mb4_general_ci
latin1_german1_ci
latin1
latin1
latin1
