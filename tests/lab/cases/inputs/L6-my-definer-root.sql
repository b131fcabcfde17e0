-- LAB L6: a dump that the host imported as root: trigger, view and procedure have DEFINER root@localhost
-- ENGINE: mariadb
-- RIGHT: one sentence that a customer can act on, already in the test; or the account's user as definer
--@ account
CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 5);
--@ root
USE acct_db;
CREATE TRIGGER t_bi BEFORE INSERT ON t FOR EACH ROW SET NEW.v = NEW.v + 1;
CREATE VIEW seen AS SELECT id, v FROM t;
--@ check
SELECT v FROM seen;
--@ expect
5
