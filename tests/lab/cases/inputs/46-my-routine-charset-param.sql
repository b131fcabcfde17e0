-- CASE 46: routines and views that say CHARACTER SET utf8mb4 without a collation: on 11.8 that means another one
-- SOURCE: matomo-org/matomo #22536; bitwarden/server #7600; mariadb-corporation/mariadb-connector-nodejs #283
-- ENGINE: mariadb
-- CREATE DATABASE WITH: CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci
-- RIGHT: they work as before, or the test's report names each of them
--@ account
CREATE TABLE person (id int PRIMARY KEY, name varchar(50)) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE TABLE old_name (id int PRIMARY KEY, name varchar(50) CHARACTER SET latin1);
INSERT INTO person VALUES (1, 'Ann'); INSERT INTO old_name VALUES (1, 'Ann');
DELIMITER //
CREATE PROCEDURE find_by(IN p varchar(50) CHARACTER SET utf8mb4) BEGIN SELECT id FROM person WHERE name = p; END//
CREATE PROCEDURE find_local() BEGIN DECLARE v varchar(50) CHARACTER SET utf8mb4 DEFAULT 'Ann'; SELECT id FROM person WHERE name = v; END//
CREATE PROCEDURE find_temp() BEGIN CREATE TEMPORARY TABLE wanted (name varchar(50)) CHARACTER SET utf8mb4; INSERT INTO wanted VALUES ('Ann'); SELECT p.id FROM person p JOIN wanted w ON w.name = p.name; DROP TEMPORARY TABLE wanted; END//
DELIMITER ;
CREATE VIEW both_names AS SELECT p.id FROM person p JOIN old_name o ON CONVERT(o.name USING utf8mb4) = p.name;
--@ check
CALL find_by('Ann');
--@ check more
CALL find_local();
--@ check most
CALL find_temp();
--@ check view
SELECT id FROM both_names;
--@ check variable
SET NAMES utf8mb4; SET @n = 'Ann'; SELECT id FROM person WHERE name = @n;
--@ expect
1 (each)
