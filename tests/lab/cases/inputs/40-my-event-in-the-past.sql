-- CASE 40: an event that was switched off and whose time has passed (ON COMPLETION NOT PRESERVE)
-- SOURCE: mydumper/mydumper #1268; ifsnop/mysqldump-php #99
-- ENGINE: mariadb
-- RIGHT: the account moves; the event, which will never run, is carried or told as left behind
--@ account
CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
CREATE EVENT once ON SCHEDULE AT CURRENT_TIMESTAMP + INTERVAL 3 SECOND ON COMPLETION NOT PRESERVE DISABLE DO DELETE FROM t;
CREATE EVENT campaign ON SCHEDULE EVERY 1 DAY STARTS CURRENT_TIMESTAMP - INTERVAL 2 DAY ENDS CURRENT_TIMESTAMP + INTERVAL 3 SECOND ON COMPLETION NOT PRESERVE DISABLE DO DELETE FROM t;
DO SLEEP(5);
--@ check
SELECT COUNT(*) FROM t;
--@ expect
1
