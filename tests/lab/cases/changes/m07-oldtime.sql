-- CASE m07: changes of tables with times of the form before MariaDB 10.1
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ root
SET GLOBAL mysql56_temporal_format = OFF;
--@ account
CREATE TABLE t (id int, at DATETIME NOT NULL, v text, PRIMARY KEY (id, at));
INSERT INTO t VALUES (1,'2020-01-01 00:00:00','old'),(2,'2020-01-02 00:00:00','old');
CREATE TABLE s (at TIMESTAMP NOT NULL DEFAULT '2000-01-01 00:00:00', v text, PRIMARY KEY (at));
INSERT INTO s VALUES ('2020-01-01 10:00:00','old');
--@ root after
SET GLOBAL mysql56_temporal_format = ON;
--@ meanwhile
UPDATE t SET v = 'new' WHERE id = 1;
INSERT INTO t VALUES (3,'2021-01-01 00:00:00','new');
DELETE FROM t WHERE id = 2;
UPDATE s SET v = 'new';
--@ check
SELECT * FROM t ORDER BY id; SELECT * FROM s;
