-- CASE 09: the database has a statement_timeout (the usual advice for web applications), and a table of some size
-- SOURCE: dimitri/pgcopydb PR#344, PR#541; burggraf/postgresql_replicas #2
-- ENGINE: postgres
-- RIGHT: the account moves; its setting is there afterwards and did not bind the mover
--@ account
CREATE TABLE log (id bigserial PRIMARY KEY, line text);
INSERT INTO log (line) SELECT repeat(md5(i::text), 12) FROM generate_series(1, 400000) i;
ALTER DATABASE acct_db SET statement_timeout = '2s';
--@ check
SELECT count(*), (SELECT setting FROM pg_settings WHERE name = 'statement_timeout') FROM log;
--@ expect
400000|2000
