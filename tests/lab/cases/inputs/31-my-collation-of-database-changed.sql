-- CASE 31: routines and triggers older than the database's present character set (the usual ALTER DATABASE ... CHARACTER SET utf8mb4)
-- SOURCE: mydumper/mydumper #2341
-- ENGINE: mariadb
-- RIGHT: the account moves; DATABASE_COLLATION of routine, trigger and event may stay or follow, but it is no reason to stay
--@ account
ALTER DATABASE acct_db CHARACTER SET latin1 COLLATE latin1_swedish_ci;
CREATE TABLE t (id int PRIMARY KEY, v varchar(20) CHARACTER SET utf8mb4);
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN n * 2;
CREATE TRIGGER up BEFORE INSERT ON t FOR EACH ROW SET NEW.v = upper(NEW.v);
ALTER DATABASE acct_db CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
INSERT INTO t VALUES (1, 'a');
--@ check
SELECT twice(21); INSERT INTO t VALUES (2, 'b'); SELECT v FROM t WHERE id = 2; DELETE FROM t WHERE id = 2;
--@ expect
42
B
