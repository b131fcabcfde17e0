-- CASE 17: the wrapper that everybody uses to index unaccent(): an IMMUTABLE function that does not name the schema
-- SOURCE: odoo-odev/odev PR#169; seattleflu/id3c PR#211; anthropics/claude-code #15186
-- ENGINE: postgres
-- RIGHT: the account moves with its index (e.g. the function restored with SET search_path), or the test says which function to alter and how
--@ account
CREATE EXTENSION unaccent;
CREATE FUNCTION f_unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT unaccent('unaccent', $1)$$;
CREATE TABLE person (id serial PRIMARY KEY, name text);
INSERT INTO person (name) VALUES ('Zoë'), ('José'), ('Ann');
CREATE INDEX ON person (lower(f_unaccent(name)));
--@ check
SELECT name FROM person WHERE lower(f_unaccent(name)) = 'jose';
--@ expect
José
