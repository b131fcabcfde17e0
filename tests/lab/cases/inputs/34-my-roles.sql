-- CASE 34: privileges that a user has by a role (MariaDB roles), with the role as default
-- SOURCE: percona/percona-toolkit PR#326; ansible-collections/community.mysql #710; mariadb-corporation/galera #669
-- ENGINE: mariadb
-- RIGHT: after the move the user may do what it could, or the move is refused with a sentence that names the role
-- USERS: acct@localhost shop@localhost
--@ account
CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
--@ root
CREATE OR REPLACE ROLE shop_rw; GRANT SELECT, INSERT ON `acct\_db`.* TO shop_rw; GRANT shop_rw TO shop@localhost; SET DEFAULT ROLE shop_rw FOR shop@localhost;
--@ check as shop
SELECT COUNT(*) FROM acct_db.t;
--@ expect
2
