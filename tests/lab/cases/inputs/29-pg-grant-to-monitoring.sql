-- CASE 29: the host's own role for backups or monitoring has SELECT on the customer's tables
-- SOURCE: ANXS/postgresql #571 (class); monitoring recipes
-- ENGINE: postgres
-- RIGHT: the account moves; the grant to a role that is not the account's is left and told, as it is for databases
--@ root
CREATE ROLE monitoring NOLOGIN;
--@ account
CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1);
GRANT SELECT ON t TO monitoring;
--@ check
SELECT count(*) FROM t;
--@ expect
1
