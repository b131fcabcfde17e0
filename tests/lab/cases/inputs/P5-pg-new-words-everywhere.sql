-- CASE P5: names that are keywords or functions of the newer version, wherever a name can stand: tables, functions, parameters, labels, types, aliases in views and in bodies
-- ENGINE: postgres
-- RIGHT: the account moves, and all of it works as before, or the test says what does not
--@ account
CREATE TABLE json_table (json int PRIMARY KEY, json_value text, json_query text, json_exists bool, system_user text, "any_value" int, merge_action text, omit text, keep text, format text, nested text, path text, error text, "empty" text, conditional text, source text, target text, scalar text, string text, quotes text, plan text);
INSERT INTO json_table VALUES (1, 'a', 'b', true, 'sys', 3, 'm');
CREATE FUNCTION any_value(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 10 + $2'; CREATE FUNCTION json_scalar(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'mine ' || t $$; CREATE FUNCTION json_serialize(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'own ' || $1 $$; CREATE FUNCTION random_normal(int) RETURNS int LANGUAGE sql AS 'SELECT 5'; CREATE FUNCTION to_bin(int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'bin' $$; CREATE FUNCTION unistr(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 9';
CREATE FUNCTION date_add(date, int) RETURNS date LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2'; CREATE FUNCTION erf(float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT 42::float8'; CREATE FUNCTION array_shuffle(int[]) RETURNS int[] LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE FUNCTION xmltext(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'x' || $1 $$;
CREATE VIEW of_words AS SELECT json_table.json AS json_object, json_value AS json_arrayagg, public.any_value(1, 2) AS merge_action, public.json_scalar('q') AS system_user, public.json_serialize('z') AS json_scalar, date_add(date '2024-01-01', 3) AS d, public.erf(1::float8) AS erf FROM json_table;
CREATE TYPE json_t AS (json_exists int); CREATE DOMAIN merge_support AS int; CREATE TABLE u (xmltext text, c int DEFAULT public.any_value(3, 4), d text DEFAULT public.json_scalar('w')); CREATE INDEX by_scalar ON u (public.json_scalar(xmltext)); ALTER TABLE u ADD CHECK (public.any_value(c, 1) > 0); INSERT INTO u (xmltext) VALUES ('p');
--@ check
SELECT * FROM of_words; SELECT * FROM u; SELECT public.to_bin(3), public.unistr(3), public.xmltext('t'), public.array_shuffle('{3,1}');
--@ expect
(as before)
