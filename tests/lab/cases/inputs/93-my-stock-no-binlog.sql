-- CASE 93: a host with MariaDB as Debian installs it: no binary log; an account with two databases
-- SOURCE: mydumper, gh-ost prerequisites (log_bin, ROW)
-- ENGINE: mariadb (both servers started without log_bin)
-- DATABASES: acct_db acct_two
-- RIGHT: told before the move that the whole dump will lie in the hold (readiness check or Test); the account moves
--@ root
USE acct_two; CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, v varchar(40)); INSERT INTO t (v) SELECT md5(seq) FROM seq_1_to_20000;
--@ account
CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, v varchar(40)); INSERT INTO t (v) SELECT md5(seq) FROM seq_1_to_20000;
CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u VALUES (1, 'x');
--@ meanwhile
INSERT INTO t (v) VALUES ('later');
--@ check
SELECT COUNT(*) FROM t; SELECT COUNT(*) FROM acct_two.t;
--@ expect
20001
20000
