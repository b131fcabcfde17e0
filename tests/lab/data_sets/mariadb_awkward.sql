-- Objects of every awkward kind, to be run by one of the account's users, with ALL on the current database.
SET NAMES utf8mb4;
CREATE TABLE no_key (a int, b varchar(20), c text CHARACTER SET latin1, d decimal(20, 5), e enum('x', 'y''z', 'é'), f set('a', 'b'));
INSERT INTO no_key VALUES (1, 'x', 'é', 1.5, 'é', 'a,b'), (1, 'x', 'é', 1.5, 'é', 'a,b'), (NULL, NULL, NULL, NULL, NULL, NULL),
  (2, 'a\nb\tc\\d''"', '', -1, 'y''z', '');
CREATE TABLE my_isam (id int AUTO_INCREMENT PRIMARY KEY, t varchar(100), FULLTEXT KEY (t)) ENGINE = MyISAM;
INSERT INTO my_isam (t) VALUES ('one'), ('two words'), ('three little words');
CREATE TABLE in_aria (id int PRIMARY KEY, v blob) ENGINE = Aria;
INSERT INTO in_aria VALUES (1, x'00ff27225c0a1a'), (2, ''), (3, NULL);
CREATE TABLE kinds (
  id bigint unsigned AUTO_INCREMENT PRIMARY KEY, f float, g double, bits bit(13), j json, p point NOT NULL, u uuid, ip inet6, y year,
  t time(3), dt datetime(6), ts timestamp(6) NULL, z int(8) zerofill, vb varbinary(20), bi binary(4), c char(5),
  total int GENERATED ALWAYS AS (z * 2) STORED, virtual_total int GENERATED ALWAYS AS (z * 3) VIRTUAL,
  hidden int INVISIBLE DEFAULT 7, d date DEFAULT '0000-00-00', n varchar(50) COLLATE utf8mb4_bin DEFAULT (concat('x', 1)),
  SPATIAL KEY (p), KEY (n(10)), CHECK (z < 100000)
) AUTO_INCREMENT = 1000;
INSERT INTO kinds (f, g, bits, j, p, u, ip, y, t, dt, ts, z, vb, bi, c, d)
SELECT 1 / (seq + 0.1), pi() * seq, seq, json_object('k', seq, 'é', 'ß'), point(seq, -seq), uuid(), concat('::', hex(seq)), 2000 + seq % 100,
  '-12:34:56.789', '2020-01-02 03:04:05.678901', '2021-06-01 00:00:00.000001' + INTERVAL seq HOUR, seq, unhex(hex(seq)), 'ab', 'a ', '2020-01-01'
FROM seq_1_to_500;
INSERT INTO kinds (p, f, d) VALUES (point(0, 0), NULL, '0000-00-00'), (point(1, 1), 1.2345678, '1000-01-01'), (point(1, 1), 3.4028234e38, NULL);
CREATE TABLE hens (id int PRIMARY KEY, egg int, KEY (egg)); CREATE TABLE eggs (id int PRIMARY KEY, hen int, KEY (hen));
INSERT INTO hens VALUES (1, 1), (2, 2); INSERT INTO eggs VALUES (1, 2), (2, 1);
ALTER TABLE hens ADD CONSTRAINT `hen's ``egg` FOREIGN KEY (egg) REFERENCES eggs (id) ON DELETE CASCADE;
ALTER TABLE eggs ADD FOREIGN KEY (hen) REFERENCES hens (id);
CREATE TABLE `weird ``name
\! touch /tmp/transhumance-escaped; -- */` (`a ``b
c` int COMMENT 'a\n\\! touch /tmp/transhumance-escaped\n-- */ ;', `%_` int) COMMENT 'it''s\n\\! touch /tmp/transhumance-escaped';
INSERT INTO `weird ``name
\! touch /tmp/transhumance-escaped; -- */` VALUES (1, 2);
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (YEAR(at)) (PARTITION p0 VALUES LESS THAN (2020), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parts SELECT seq, '2018-01-01' + INTERVAL seq DAY FROM seq_1_to_1500;
CREATE SEQUENCE numbers START 100 INCREMENT 5 CACHE 10;
SELECT NEXT VALUE FOR numbers;
CREATE TABLE numbered (id int DEFAULT (NEXT VALUE FOR numbers), v int);
INSERT INTO numbered (v) VALUES (1), (2);
CREATE TABLE old_charset (a varchar(50), b varchar(50) CHARACTER SET utf8mb4) DEFAULT CHARSET latin1 COLLATE latin1_german1_ci;
INSERT INTO old_charset VALUES ('Grüße', '😀');

CREATE VIEW z_view AS SELECT a, b, shout_it AS loud FROM (SELECT a, b, upper(b) AS shout_it FROM no_key) x;
CREATE SQL SECURITY INVOKER VIEW a_view AS SELECT loud, 'it''s' AS `odd ``col` FROM z_view WHERE a > 0;
CREATE VIEW checked AS SELECT id, egg FROM hens WHERE id < 100 WITH CASCADED CHECK OPTION;
DELIMITER $$
CREATE FUNCTION twice(x int) RETURNS int DETERMINISTIC COMMENT 'it''s; -- */' RETURN x * 2$$
SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'$$
CREATE PROCEDURE "odd ""proc"(IN "a b" int, OUT r varchar(100)) SQL SECURITY INVOKER
BEGIN
  -- a comment; with $$ no
  SET r = 'a' || "a b" || ';';
END$$
SET sql_mode = ''$$
SET NAMES latin1$$
CREATE FUNCTION umlaut() RETURNS varchar(20) CHARSET latin1 DETERMINISTIC RETURN 'plain'$$
SET NAMES utf8mb4$$
CREATE PROCEDURE emoji() BEGIN SELECT '😀', 'é;'; END$$
SET sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE'$$
CREATE TRIGGER first_of_two BEFORE INSERT ON my_isam FOR EACH ROW BEGIN SET NEW.t = concat(NEW.t, '!'); END$$
CREATE TRIGGER `a second; one` BEFORE INSERT ON my_isam FOR EACH ROW FOLLOWS first_of_two SET NEW.t = concat(NEW.t, '?')$$
SET time_zone = '+03:00'$$
CREATE EVENT `every; day` ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' ENDS '2037-01-01 00:00:00' ON COMPLETION PRESERVE
  COMMENT 'it''s ON COMPLETION PRESERVE ENABLE DO x' DO BEGIN DELETE FROM no_key WHERE a = 99; END$$
CREATE EVENT once ON SCHEDULE AT '2035-05-05 05:05:05' DO DELETE FROM no_key WHERE a = 98$$
CREATE EVENT sleeping ON SCHEDULE EVERY '1:30' HOUR_MINUTE DISABLE DO DELETE FROM no_key WHERE a = 97$$
DELIMITER ;
