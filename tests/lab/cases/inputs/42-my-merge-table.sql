-- CASE 42: a MERGE table over two MyISAM tables (old forums and statistics programs)
-- SOURCE: MariaDB docs (MERGE)
-- ENGINE: mariadb
-- RIGHT: the account moves; 4 rows by the MERGE table, 2 in each of the others
--@ account
CREATE TABLE log_1 (id int NOT NULL, v varchar(20), KEY (id)) ENGINE=MyISAM;
CREATE TABLE log_2 (id int NOT NULL, v varchar(20), KEY (id)) ENGINE=MyISAM;
INSERT INTO log_1 VALUES (1, 'a'), (2, 'b'); INSERT INTO log_2 VALUES (3, 'c'), (4, 'd');
CREATE TABLE log_all (id int NOT NULL, v varchar(20), KEY (id)) ENGINE=MERGE UNION=(log_1, log_2) INSERT_METHOD=LAST;
--@ check
SELECT COUNT(*) FROM log_all; SELECT COUNT(*) FROM log_1; SELECT COUNT(*) FROM log_2;
--@ expect
4
2
2
