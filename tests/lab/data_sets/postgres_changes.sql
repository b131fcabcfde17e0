-- What stands in a database, what its owner may do to it while it moves, and a question that must be answered alike
-- on both servers in the end.
--@ before
CREATE TABLE items (id int PRIMARY KEY, name text, price numeric, b text);
INSERT INTO items SELECT g, 'n'||g, g, 'b'||g FROM generate_series(1,200) g;
CREATE TABLE report AS SELECT id, name FROM items WHERE id <= 50;
CREATE SEQUENCE counter;
CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 10;
CREATE TABLE secret (id int PRIMARY KEY, owner text); INSERT INTO secret VALUES (1,'a'),(2,'b');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON secret USING (owner = 'a');
CREATE FUNCTION vat(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT $1 * 1.19; END;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := 'x' || NEW.name; RETURN NEW; END $$;
CREATE TRIGGER t BEFORE UPDATE ON items FOR EACH ROW WHEN (NEW.price > 1000) EXECUTE FUNCTION noted();
ALTER TABLE items ADD CONSTRAINT ok CHECK (price < 100000);
CREATE INDEX part ON items (name) WHERE price > 5;
CREATE DOMAIN plz AS text DEFAULT 'x';
CREATE TABLE log (at int, what text) PARTITION BY RANGE (at);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (100); INSERT INTO log SELECT g, 'l'||g FROM generate_series(1,20) g;
CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple);
--@ change recreate_ctas
DROP TABLE report;
CREATE TABLE report AS SELECT id, name FROM items WHERE id > 150;
--@ asked
SELECT count(*), min(id) FROM report;
--@ change recreate_keyed
CREATE TEMP TABLE k AS SELECT * FROM items; DROP TABLE items CASCADE; CREATE TABLE items (id int PRIMARY KEY, name text, price numeric, b text); CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 10; CREATE TRIGGER t BEFORE UPDATE ON items FOR EACH ROW WHEN (NEW.price > 1000) EXECUTE FUNCTION noted(); ALTER TABLE items ADD CONSTRAINT ok CHECK (price < 100000); CREATE INDEX part ON items (name) WHERE price > 5; INSERT INTO items SELECT id, name, price + 1, b FROM k WHERE id <= 100;
--@ asked
SELECT count(*), sum(price) FROM items;
--@ change swap_rename
CREATE TABLE report_new AS SELECT id, 'new' AS name FROM items;
ALTER TABLE report RENAME TO report_old;
ALTER TABLE report_new RENAME TO report;
DROP TABLE report_old;
--@ asked
SELECT count(*), min(name) FROM report;
--@ change column_again
ALTER TABLE items DROP COLUMN b;
ALTER TABLE items ADD COLUMN b text;
--@ asked
SELECT count(b), max(b) FROM items;
--@ change type_using
DROP VIEW cheap;
ALTER TABLE items ALTER COLUMN name TYPE text USING upper(name);
CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 10;
--@ asked
SELECT min(name) FROM items;
--@ change key_again
ALTER TABLE items DROP CONSTRAINT items_pkey;
ALTER TABLE items ADD PRIMARY KEY (id);
UPDATE items SET b = 'changed' WHERE id <= 30;
DELETE FROM items WHERE id > 190;
--@ asked
SELECT count(*), count(*) FILTER (WHERE b = 'changed') FROM items;
--@ change viewq
CREATE OR REPLACE VIEW cheap AS SELECT id, name FROM items WHERE price < 99;
--@ asked
SELECT count(*) FROM cheap;
--@ change sequenceo
ALTER SEQUENCE counter INCREMENT BY 10 MAXVALUE 5000 CYCLE;
--@ asked
SELECT increment_by, max_value, cycle FROM pg_sequences WHERE schemaname = current_schema();
--@ change coldefault
ALTER TABLE items ALTER COLUMN b SET DEFAULT 'one';
--@ asked
SELECT column_default FROM information_schema.columns WHERE column_name = 'b' AND table_schema = current_schema();
--@ change default_2
ALTER DOMAIN plz SET DEFAULT 'y';
--@ asked
SELECT domain_default FROM information_schema.domains WHERE domain_schema = current_schema();
--@ change checkc
ALTER TABLE items DROP CONSTRAINT ok;
ALTER TABLE items ADD CONSTRAINT ok CHECK (price < 5000000);
--@ asked
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ok' AND connamespace = current_schema()::regnamespace;
--@ change policyq
ALTER POLICY p ON secret USING (owner = 'b');
--@ asked
SELECT qual FROM pg_policies WHERE schemaname = current_schema();
--@ change functionb
CREATE OR REPLACE FUNCTION vat(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT $1 * 1.07; END;
--@ asked
SELECT vat(100);
--@ change triggerw
DROP TRIGGER t ON items;
CREATE TRIGGER t BEFORE UPDATE ON items FOR EACH ROW WHEN (NEW.price > 1) EXECUTE FUNCTION noted();
--@ asked
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 't' AND tgrelid = 'items'::regclass;
--@ change indexp
DROP INDEX part;
CREATE INDEX part ON items (name) WHERE price > 50;
--@ asked
SELECT indexdef FROM pg_indexes WHERE indexname = 'part' AND schemaname = current_schema();
--@ change partitionb
ALTER TABLE log DETACH PARTITION log_1;
ALTER TABLE log ATTACH PARTITION log_1 FOR VALUES FROM (0) TO (5000);
--@ asked
SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = 'log_1'::regclass;
--@ change partition_again
DROP TABLE log_1;
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (100);
INSERT INTO log SELECT g, 'again' FROM generate_series(50,90) g;
--@ asked
SELECT count(*), min(what) FROM log;
--@ change truncated
TRUNCATE items;
INSERT INTO items VALUES (1, 'only', 1, 'z');
--@ asked
SELECT count(*), min(name) FROM items;
--@ change vacuum_full
VACUUM FULL items;
UPDATE items SET b = 'v' WHERE id = 3;
--@ asked
SELECT count(*) FILTER (WHERE b = 'v') FROM items;
--@ change configts
ALTER TEXT SEARCH CONFIGURATION mine ALTER MAPPING FOR word WITH english_stem;
--@ asked
SELECT count(*) FROM ts_debug('mine', 'running') WHERE dictionary::text = 'english_stem';
--@ change identity_away
ALTER TABLE items REPLICA IDENTITY NOTHING;
ALTER TABLE items REPLICA IDENTITY DEFAULT;
UPDATE items SET b = 'changed' WHERE id <= 30;
INSERT INTO items VALUES (500, 'n', 1, 'b');
--@ asked
SELECT count(*), count(*) FILTER (WHERE b = 'changed') FROM items;
