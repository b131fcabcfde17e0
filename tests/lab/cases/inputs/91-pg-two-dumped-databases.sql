-- CASE 91: an account with two databases that cannot be followed (each has an UNLOGGED table for sessions or cache): both are dumped in the hold, at the same time
-- SOURCE: found while trying 24 (dimitri/pgcopydb #819; liweiyi88/onedump #50)
-- ENGINE: postgres
-- DATABASES: acct_db acct_two
-- RIGHT: the account moves, with both databases
--@ account
CREATE TABLE t (id serial PRIMARY KEY, v text); INSERT INTO t (v) SELECT md5(i::text) FROM generate_series(1, 20000) i;
CREATE UNLOGGED TABLE cache (k text PRIMARY KEY, v text); INSERT INTO cache VALUES ('a', 'b');
--@ root
SELECT 1 \g /dev/null
\c acct_two
SET ROLE acct;
CREATE TABLE t (id serial PRIMARY KEY, v text); INSERT INTO t (v) SELECT md5(i::text) FROM generate_series(1, 20000) i;
CREATE UNLOGGED TABLE cache (k text PRIMARY KEY, v text); INSERT INTO cache VALUES ('a', 'b');
--@ check
SELECT count(*) FROM t; SELECT count(*) FROM cache;
--@ check as root
\c acct_two
SELECT count(*) FROM t; SELECT count(*) FROM cache;
--@ expect
20000
1
20000
1
