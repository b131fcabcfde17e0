-- CASE 37: a view in one database that reads a view of another database of the same account
-- SOURCE: databacker/mysql-backup #453; openemr/openemr #5096
-- ENGINE: mariadb
-- DATABASES: acct_db acct_stats
-- RIGHT: the account moves, whatever the order of its databases
--@ account
CREATE TABLE acct_stats.hits (day date, n int);
INSERT INTO acct_stats.hits VALUES ('2026-01-01', 3), ('2026-01-01', 4);
CREATE VIEW acct_stats.daily AS SELECT day, SUM(n) AS n FROM acct_stats.hits GROUP BY day;
CREATE VIEW acct_db.report AS SELECT day, n FROM acct_stats.daily;
--@ check
SELECT n FROM acct_db.report;
--@ expect
7
