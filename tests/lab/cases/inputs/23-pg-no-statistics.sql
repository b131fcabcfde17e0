-- CASE 23: after the move the planner knows nothing: no statistics, no extended statistics, and partitioned parents are never analyzed by autovacuum
-- SOURCE: aiven/devportal PR#1360; stackrox/stackrox PR#2740; umami-software/umami #4353
-- ENGINE: postgres
-- RIGHT: statistics are there before the account is opened (the catalogue promises it: config/migrations/postgresql-17.yaml:31 "planner statistics are collected")
--@ account
CREATE TABLE part (at date NOT NULL, kind text, v integer) PARTITION BY RANGE (at);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO part SELECT '2024-01-01'::date + i % 360, CASE WHEN i % 1000 = 0 THEN 'rare' ELSE 'usual' END, i FROM generate_series(1, 20000) i;
CREATE TABLE small (id serial PRIMARY KEY, v text);
INSERT INTO small (v) SELECT 'x' || i FROM generate_series(1, 40) i;
ANALYZE;
--@ check
SELECT string_agg(DISTINCT tablename, ',' ORDER BY tablename) FROM pg_stats WHERE schemaname = 'public'; SELECT string_agg(relname || ':' || reltuples::int, ',' ORDER BY relname) FROM pg_class WHERE relname IN ('part', 'part_1', 'small');
--@ expect
part,part_1,small
part:20000,part_1:20000,small:40
