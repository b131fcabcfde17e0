-- CASE 14: as 13, but the name stands in a view, a function and a row: the move succeeds and the query fails afterwards
-- SOURCE: twentyhq/twenty PR#19154; ddev/ddev PR#7971; docker-library/postgres #1392
-- ENGINE: postgres
-- RIGHT: it works as before, or the test's report has a finding that names view, function and table
--@ account
CREATE TABLE person (id serial PRIMARY KEY, zone text, born timestamptz);
INSERT INTO person (zone, born) VALUES ('Asia/Calcutta', '2000-01-01 00:00+00'), ('Europe/Kiev', '2000-01-01 00:00+00');
CREATE FUNCTION in_office() RETURNS text LANGUAGE sql STABLE AS $$SELECT (TIMESTAMPTZ '2026-01-01 12:00+00' AT TIME ZONE 'US/Central')::text$$;
CREATE VIEW local_birth AS SELECT id, born AT TIME ZONE zone AS at FROM person;
--@ check
SELECT in_office(); SELECT string_agg(at::text, ',' ORDER BY id) FROM local_birth;
--@ expect
2026-01-01 06:00:00
2000-01-01 05:30:00,2000-01-01 02:00:00
