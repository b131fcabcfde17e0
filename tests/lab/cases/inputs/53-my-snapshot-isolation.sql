-- CASE 53: two sessions that read and then change the same row: 10.11 lets the second win, 11.8 ends it with error 1020
-- SOURCE: magento/magento2 #41047; eduMFA/eduMFA #920 (Debian 13); friendica/friendica #15628; DOMjudge/domjudge #2848; k3s-io/kine #721
-- ENGINE: mariadb
-- RIGHT: the report of the test warns the account whose application uses such transactions (it is a note for everybody today)
--@ account
CREATE TABLE stock (id int PRIMARY KEY, n int); INSERT INTO stock VALUES (1, 10);
--@ check
SELECT @@innodb_snapshot_isolation;
--@ expect
0 on 10.11, 1 on 11.8: the behaviour changes with the move
