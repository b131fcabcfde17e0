-- CASE 35: the panel's usual grant on a prefix: the customer makes databases of their own
-- SOURCE: sequelpro/sequelpro #1371; pingcap/tidb #2456; apisnetworks/apiscp #20
-- ENGINE: mariadb
-- RIGHT: after the move the customer can make acct_new as before, or the move says that the grant became narrower
--@ root
REVOKE ALL PRIVILEGES, GRANT OPTION FROM acct@localhost;
GRANT ALL PRIVILEGES ON `acct\_%`.* TO acct@localhost;
--@ account
CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
--@ check
CREATE DATABASE acct_new; DROP DATABASE acct_new; SELECT COUNT(*) FROM t;
--@ expect
1
