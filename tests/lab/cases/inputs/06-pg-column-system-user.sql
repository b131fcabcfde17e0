-- CASE 06: a column whose name is no keyword of 15 and a reserved one from 16 on
-- SOURCE: QGEP/datamodel PR#238; terraware/terraware-server PR#2870
-- ENGINE: postgres
-- RIGHT: the account moves (pg_dump --quote-all-identifiers, or the new version's pg_dump); the report warns of SQL without quotes
--@ account
CREATE TABLE mutation (id serial PRIMARY KEY, system_user character varying(20), note text);
INSERT INTO mutation (system_user, note) SELECT 'u' || i, 'n' FROM generate_series(1, 20) i;
--@ check
SELECT count("system_user") FROM mutation;
--@ expect
20
