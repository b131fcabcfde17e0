-- CASE m20: rows written through a MERGE table
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE log_1 (id int NOT NULL, v varchar(20), KEY (id)) ENGINE=MyISAM;
CREATE TABLE log_2 (id int NOT NULL PRIMARY KEY, v varchar(20)) ENGINE=MyISAM;
INSERT INTO log_1 VALUES (1, 'a'), (2, 'b');
CREATE TABLE log_all (id int NOT NULL, v varchar(20), KEY (id)) ENGINE=MERGE UNION=(log_1) INSERT_METHOD=LAST;
--@ meanwhile
INSERT INTO log_all VALUES (5, 'c');
UPDATE log_all SET v = 'new' WHERE id = 1;
INSERT INTO log_2 VALUES (9, 'd');
--@ check
SELECT * FROM log_all ORDER BY id; SELECT * FROM log_1 ORDER BY id; SELECT * FROM log_2 ORDER BY id;
