-- LAB L5: extensions of the usual applications made by the administrator, and a table that the administrator made for the account
-- ENGINE: postgres
-- RIGHT: the account moves, or one sentence names the table and the command that gives it to the account
--@ root
CREATE EXTENSION pgcrypto; CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION pg_trgm; CREATE EXTENSION citext; CREATE EXTENSION btree_gin; CREATE EXTENSION tablefunc; CREATE EXTENSION fuzzystrmatch; CREATE EXTENSION pg_stat_statements;
CREATE TABLE imported (id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), mail citext); GRANT ALL ON imported TO acct; INSERT INTO imported (mail) VALUES ('A@b.example');
--@ account
CREATE TABLE t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, mail citext UNIQUE); CREATE INDEX ON t USING gin (name gin_trgm_ops); INSERT INTO t (name, mail) SELECT 'n' || i, 'M' || i || '@x.example' FROM generate_series(1, 100) i;
--@ check
SELECT count(*) FROM t WHERE mail = 'm7@x.EXAMPLE'; SELECT count(*) FROM imported;
--@ expect
1
1
