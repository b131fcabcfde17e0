-- CASE 13: a role's and a database's time zone by an old name, which Debian 13 has in a package of its own (tzdata-legacy)
-- SOURCE: docker-library/postgres #1355, #1392; pgautoupgrade/docker-pgautoupgrade #159; baserow/baserow PR#4890
-- ENGINE: postgres
-- RIGHT: the names are known on the new server (tzdata-legacy installed there), or the report of the test names the setting, the functions and the rows that use it; a move with it must not end in a raw error
--@ account
CREATE TABLE event (id serial PRIMARY KEY, at timestamptz);
INSERT INTO event (at) VALUES ('2026-07-01 12:00:00+00');
ALTER ROLE acct SET timezone = 'US/Eastern';
--@ root
ALTER DATABASE acct_db SET timezone = 'US/Pacific';
--@ check
SELECT at AT TIME ZONE 'US/Eastern', current_setting('timezone') FROM event;
--@ expect
2026-07-01 08:00:00|US/Eastern
