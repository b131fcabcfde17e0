-- CASE m08: engines without snapshots
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE m (id int PRIMARY KEY, a text) ENGINE=MyISAM;
INSERT INTO m VALUES (1,'old'),(2,'old');
CREATE TABLE k (a int) ENGINE=Aria;
INSERT INTO k VALUES (1),(1),(2);
CREATE TABLE e (a int) ENGINE=MEMORY;
INSERT INTO e VALUES (4);
--@ meanwhile
UPDATE m SET a = 'new' WHERE id = 1;
DELETE FROM m WHERE id = 2;
INSERT INTO k VALUES (1);
DELETE FROM k WHERE a = 2;
INSERT INTO e VALUES (5);
--@ check
SELECT * FROM m; SELECT * FROM k ORDER BY a; SELECT * FROM e ORDER BY a;
