-- CASE 08: a customer's function that is called like one of 17's new SQL/JSON functions, used by a view
-- SOURCE: pgautoupgrade/docker-pgautoupgrade #159 (same class); PG 17 keyword list
-- ENGINE: postgres
-- RIGHT: the view calls public.json_value as before, or the report says that it cannot
--@ account
CREATE FUNCTION json_value(doc jsonb, path text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT doc ->> path$$;
CREATE TABLE docs (id serial PRIMARY KEY, doc jsonb);
INSERT INTO docs (doc) VALUES ('{"name": "Ann"}'), ('{"name": "Bob"}');
CREATE VIEW names AS SELECT id, json_value(doc, 'name') AS name FROM docs;
CREATE INDEX ON docs (public.json_value(doc, 'name'));
--@ check
SELECT string_agg(name, ',' ORDER BY id) FROM names;
--@ expect
Ann,Bob
