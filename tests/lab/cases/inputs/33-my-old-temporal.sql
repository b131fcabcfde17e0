-- CASE 33: DATETIME and TIMESTAMP columns in the form before MariaDB 10.1 / MySQL 5.6 (tables that were never rebuilt)
-- SOURCE: MariaDB docs (mysql56_temporal_format)
-- ENGINE: mariadb
-- RIGHT: the account moves (the columns come in the new form, the values as they were)
--@ root
SET GLOBAL mysql56_temporal_format = OFF;
--@ account
CREATE TABLE old_form (at datetime NOT NULL, seen timestamp NOT NULL DEFAULT current_timestamp(), v int, PRIMARY KEY (at));
INSERT INTO old_form VALUES ('2012-03-04 05:06:07', '2012-03-04 05:06:07', 1), ('2013-03-04 05:06:07', '2013-03-04 05:06:07', 2);
--@ root after
SET GLOBAL mysql56_temporal_format = ON;
--@ meanwhile
UPDATE old_form SET v = 99 WHERE at = '2012-03-04 05:06:07';
--@ check
SELECT v FROM old_form ORDER BY at;
--@ expect
99
2
