-- 200 MB, made where they are needed.
SET SESSION AUTHORIZATION app;
SET synchronous_commit = off;
SELECT setseed(0.2022);

BEGIN;
INSERT INTO department (name) SELECT 'Department ' || n FROM generate_series(1, 40) n;
INSERT INTO "Person" ("Full Name", "E-Mail", department, boss, home, born)
  SELECT (ARRAY['Müller', 'Mueller', 'Ärzte', 'Zoë', 'O''Neil', 'de la Cruz', '李', 'Øst'])[1 + n % 8] || ' ' || n,
         'person-' || n || '@Example.TEST', 10 * (1 + n % 40), CASE WHEN n > 40 THEN 1 + n % 40 END,
         ROW('Street "' || n || '"', lpad((n % 9999)::text, 5, '0'), 'CH')::address, date '1950-01-01' + n % 20000
  FROM generate_series(1, 20000) n;
UPDATE department SET head = id / 10;
COMMIT;

INSERT INTO "Mixed Case"."Order Lines" (person, state, "Unit Price", quantity, tags, grid, detail, rebate, valid, note)
  SELECT 1 + n % 20000, (enum_range(NULL::"Mixed Case"."Order State"))[1 + n % 4], n % 10007 / 7.0, 1 + n % 30,
         ARRAY['tag ' || n % 50, 'with, comma', NULL], ARRAY[[n, 2], [3, n % 9]],
         jsonb_build_object('n', n, 'deep', jsonb_build_array(n % 5, NULL, 'é"' || n % 11), 'ratio', n / 3.0),
         n % 101, tstzrange(timestamptz '2022-01-01 UTC' + n * interval '1 minute', NULL),
         CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE E'line\tone\nline \\two ' || md5(n::text) || md5((n + 1)::text) END
  FROM generate_series(1, 390000) n;
CREATE INDEX ON "Mixed Case"."Order Lines" (person);

INSERT INTO no_key
  SELECT 'line ' || n / 2, CASE WHEN n % 1000 = 0 THEN 'NaN' ELSE n / 7.0 END, decode(md5((n / 2)::text), 'hex'),
         timestamptz '2022-01-01 UTC' + n * interval '1 second', (n % 1024)::bit(10), n * interval '1 hour'
  FROM generate_series(2, 200001) n;
INSERT INTO no_key SELECT NULL FROM generate_series(1, 10);

INSERT INTO event (at, kind, body)
  SELECT timestamptz '2021-12-30 UTC' + n * interval '4 minutes',
         (ARRAY['view', 'view', 'buy', 'leave'])[1 + n % 4], jsonb_build_object('page', '/' || n % 997, 'ms', n % 3000, 'agent', repeat('x', n % 60))
  FROM generate_series(1, 300000) n;

INSERT INTO product
  SELECT n, 'Product ' || n, lo_from_bytea(0, decode(repeat(md5(n::text), 1024), 'hex')), xmlparse(CONTENT '<m n="' || n || '">&amp;</m>'),
         point(n, -n / 3.0), ('2001:db8::' || to_hex(n))::inet, md5(n::text)::uuid
  FROM generate_series(1, 500) n;

INSERT INTO parent VALUES (1, 'parent'); INSERT INTO child VALUES (2, 'child', 'own');
INSERT INTO "empty, no columns" DEFAULT VALUES;
INSERT INTO secret VALUES (1, 'app', 'mine'), (2, 'App Reader', 'theirs');
SELECT setval('countdown', -3, false);
REFRESH MATERIALIZED VIEW events_by_month;
ANALYZE;
