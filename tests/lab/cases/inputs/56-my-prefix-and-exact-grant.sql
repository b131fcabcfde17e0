-- CASE 56: a grant on a prefix and one on the database itself (both panels and customers make them)
-- SOURCE: apisnetworks/apiscp #20; sequelpro/sequelpro #1371
-- ENGINE: mariadb
-- RIGHT: after the move the customer can make acct_new as before, or the move says that the grant became narrower
--@ root
GRANT ALL PRIVILEGES ON `acct\_%`.* TO acct@localhost;
--@ account
CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
--@ check
CREATE DATABASE acct_new; DROP DATABASE acct_new; SELECT COUNT(*) FROM t;
--@ expect
1
