-- A database whose rows change while it is followed. Run by the database's owner.
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"');
-- Said to be immutable, so that it may stand in an index. Says in the server's log who it runs as, and stops whoever runs it with more than the account's rights.
CREATE FUNCTION ran_as(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  RAISE LOG 'a check ran as % of %', current_user, session_user;
  IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
    RAISE EXCEPTION 'a superuser runs what a customer wrote';
  END IF;
  RETURN $1 > 0;
END $$;
CREATE DOMAIN positive AS integer CHECK (public.ran_as(VALUE));
CREATE TABLE keyed (
  id bigserial PRIMARY KEY, t text, m mood, n integer, p positive, doubled integer GENERATED ALWAYS AS (n * 2) STORED,
  at timestamptz DEFAULT clock_timestamp(), doc jsonb
);
CREATE INDEX ON keyed (t) WHERE public.ran_as(1);
CREATE TABLE "two ""keys"" é" (a text, "B" uuid, v numeric, by bytea, PRIMARY KEY (a, "B"));
CREATE TABLE no_key (t text, n integer);
CREATE TABLE no_key_at_all (doc json);
CREATE TABLE identified (id integer GENERATED ALWAYS AS IDENTITY (INCREMENT 5) PRIMARY KEY, v text);
CREATE TABLE emptied (id serial PRIMARY KEY, v text);
CREATE TABLE by_index (code text NOT NULL, v integer);
CREATE UNIQUE INDEX by_index_code ON by_index (code);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code;
CREATE TABLE nothing (v integer);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE measured (at date NOT NULL, v integer, PRIMARY KEY (at)) PARTITION BY RANGE (at);
CREATE TABLE measured_old PARTITION OF measured FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE measured_rest PARTITION OF measured DEFAULT;
CREATE TABLE parent (a integer PRIMARY KEY);
CREATE TABLE child (b text) INHERITS (parent);
CREATE TABLE noted (id bigserial PRIMARY KEY, what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.noted (what) VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON keyed FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE SEQUENCE "Odd ""seq""" INCREMENT -3 MINVALUE -1000000 MAXVALUE 10 START 10;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM no_key;

INSERT INTO keyed (t, m, n, p, doc) SELECT md5(i::text), 'sad', i, CASE WHEN i < 5 THEN i END, jsonb_build_object('i', i)
  FROM generate_series(1, 2000) i;
INSERT INTO "two ""keys"" é" SELECT 'key é ' || i, md5(i::text)::uuid, i / 7.0, decode(md5(i::text), 'hex')
  FROM generate_series(1, 2000) i;
INSERT INTO no_key SELECT 'x' || i / 3, i / 3 FROM generate_series(1, 500) i;
INSERT INTO no_key_at_all SELECT '{"a": 1}' FROM generate_series(1, 10);
INSERT INTO identified (v) SELECT i FROM generate_series(1, 500) i;
INSERT INTO emptied (v) SELECT i FROM generate_series(1, 500) i;
INSERT INTO by_index SELECT 'code ' || i, i FROM generate_series(1, 500) i;
INSERT INTO nothing SELECT i FROM generate_series(1, 100) i;
INSERT INTO measured SELECT '2020-06-01'::date + i, i FROM generate_series(1, 700) i;
INSERT INTO parent SELECT i FROM generate_series(1, 100) i;
INSERT INTO child SELECT i, 'child' FROM generate_series(101, 200) i;
SELECT lo_from_bytea(5000, 'stays'), lo_from_bytea(5001, 'changes'), lo_from_bytea(5002, 'goes');

-- A little of everything; called again and again while the database is followed.
CREATE FUNCTION work() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  one integer := 1 + random() * 1999;
BEGIN
  INSERT INTO keyed (t, m, n, p, doc) VALUES (repeat(md5(random()::text), 1 + one / 10), 'it''s "ok"', one, CASE WHEN one < 20 THEN one END, '{}');
  UPDATE keyed SET n = n + 1, doc = doc || '{"changed": true}' WHERE id = one;
  DELETE FROM keyed WHERE id = 1 + (random() * 1999)::integer;
  UPDATE "two ""keys"" é" SET v = v + 1 WHERE a = 'key é ' || one;
  UPDATE "two ""keys"" é" SET a = a || '!' WHERE a = 'key é ' || (one + 1);
  INSERT INTO no_key VALUES ('new', one);
  UPDATE no_key SET n = n + 1 WHERE ctid = (SELECT min(ctid) FROM no_key WHERE n = one / 10);
  DELETE FROM no_key WHERE ctid = (SELECT max(ctid) FROM no_key);
  INSERT INTO no_key_at_all VALUES ('{"b": 2}');
  INSERT INTO identified (v) VALUES ('new');
  UPDATE by_index SET v = v + 1 WHERE code = 'code ' || one / 4;
  INSERT INTO nothing VALUES (one);
  INSERT INTO measured VALUES ('2030-01-01'::date + nextval('"Odd ""seq"""')::integer, one) ON CONFLICT DO NOTHING;
  -- On a fast machine the inserts above come down to these days again.
  UPDATE measured SET at = at + 3650, v = one WHERE at = '2020-06-01'::date + one / 10
    AND NOT EXISTS (SELECT FROM measured later WHERE later.at = '2030-05-30'::date + one / 10);
  UPDATE child SET b = 'changed' WHERE a = 100 + one / 20;
  IF random() < 0.05 THEN
    TRUNCATE emptied;
  END IF;
  INSERT INTO emptied (v) VALUES ('again');
END $$;
