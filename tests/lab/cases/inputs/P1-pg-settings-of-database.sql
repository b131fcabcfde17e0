-- CASE P1: a database and a role whose settings change how everything is read and written: octal bytes, other dates, backslashes, another encoding of clients, quoted names, NULLs in arrays, XML, short floats, isolation, search path
-- ENGINE: postgres
-- RIGHT: the account moves, every value as it was, and the settings are there on the new server
--@ account
CREATE SCHEMA app;
CREATE TABLE app.v (id int PRIMARY KEY, b bytea, f float8, r real, i interval, d timestamptz, a text[], x xml, t text, n numeric);
INSERT INTO app.v VALUES (1, '\x00ff5c27', 0.1::float8 + 0.2, 1e-7, '1 year -2 days 03:04:05.678', '2024-02-29 12:00:00.123456+05:30', ARRAY['NULL', NULL, 'a"b\c', ''], '<a>b</a><c/>', E'back\\slash ''quote'' \u00e9\t', 'NaN'),
 (2, '', '-0', 'Infinity', '-00:00:00.000001', 'infinity', '{}', '<!-- only -->', '', 1e-30), (3, NULL, 5e-324, '-Infinity', '178000000 years', '4713-01-01 00:00:00+00 BC', '{{1,2},{3,4}}', 'text', '\N', -0.0);
CREATE INDEX ON app.v ((lower(t)));
SET search_path = app; CREATE FUNCTION app.one() RETURNS text LANGUAGE sql AS $$ SELECT t FROM v WHERE id = 1 $$; RESET search_path;
CREATE VIEW app.w AS SELECT id, t FROM app.v WHERE t = NULL OR id > 0;
--@ root
ALTER DATABASE acct_db SET bytea_output = 'escape'; ALTER DATABASE acct_db SET datestyle = 'German, DMY'; ALTER DATABASE acct_db SET intervalstyle = 'sql_standard';
ALTER DATABASE acct_db SET standard_conforming_strings = off; ALTER DATABASE acct_db SET backslash_quote = on; ALTER DATABASE acct_db SET escape_string_warning = off; ALTER DATABASE acct_db SET client_encoding = 'LATIN1';
ALTER DATABASE acct_db SET quote_all_identifiers = on; ALTER DATABASE acct_db SET array_nulls = off; ALTER DATABASE acct_db SET xmloption = 'document'; ALTER DATABASE acct_db SET extra_float_digits = -10;
ALTER DATABASE acct_db SET transform_null_equals = on; ALTER DATABASE acct_db SET default_transaction_isolation = 'serializable'; ALTER DATABASE acct_db SET default_transaction_deferrable = on; ALTER DATABASE acct_db SET search_path = app, public;
ALTER DATABASE acct_db SET lock_timeout = '50ms'; ALTER DATABASE acct_db SET default_tablespace = ''; ALTER DATABASE acct_db SET row_security = off; ALTER DATABASE acct_db SET enable_seqscan = off;
ALTER ROLE acct SET work_mem = '64kB'; ALTER ROLE acct IN DATABASE acct_db SET timezone = 'Asia/Kathmandu'; ALTER ROLE acct SET synchronize_seqscans = off; ALTER ROLE acct SET client_min_messages = 'error';
--@ check
SET client_encoding = 'UTF8'; SET extra_float_digits = 3; SET bytea_output = hex; SELECT * FROM app.v ORDER BY id; SELECT app.one(); SELECT * FROM app.w ORDER BY id; SHOW timezone; SHOW intervalstyle; SHOW default_transaction_isolation; SHOW search_path; SHOW xmloption; SHOW row_security;
--@ check as root
SELECT setting FROM (SELECT unnest(setconfig) AS setting FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase WHERE datname = 'acct_db') q ORDER BY 1;
--@ expect
(as before)
