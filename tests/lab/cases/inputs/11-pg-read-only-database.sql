-- CASE 11: an archive that was made read-only by ALTER DATABASE ... SET default_transaction_read_only
-- SOURCE: greenplum-db/gpbackup PR#176; dbeaver/dbeaver #18276
-- ENGINE: postgres
-- RIGHT: the account moves and its database is read-only on the new server as well
--@ account
CREATE TABLE t (id integer PRIMARY KEY);
INSERT INTO t SELECT generate_series(1, 10);
--@ root
ALTER DATABASE acct_db SET default_transaction_read_only = on;
--@ check
SELECT count(*), current_setting('default_transaction_read_only') FROM t;
--@ expect
10|on
