-- CASE 04: the host's administrator has run the usual recipe ALTER DEFAULT PRIVILEGES as postgres
-- SOURCE: neondatabase/neon #12136
-- ENGINE: postgres
-- RIGHT: the account moves; the default privileges of the host's own role are left (and told), or made by the superuser
--@ account
CREATE TABLE t (id integer PRIMARY KEY);
INSERT INTO t SELECT generate_series(1, 10);
--@ root
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO acct;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO acct;
--@ check
SELECT count(*) FROM t;
--@ expect
10
