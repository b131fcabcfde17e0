-- CASE 01: a column added to the parent after the child has columns of its own (old-style partitions)
-- SOURCE: greenplum-db/gpdb #4955; yugabyte/yugabyte-db #27324; mla/pg_sample PR#62
-- ENGINE: postgres
-- RIGHT: the account moves; every value stands under its own column name (the physical order of columns may differ)
--@ account
CREATE TABLE reading (at date NOT NULL, v integer);
CREATE TABLE reading_2023 (station text, CHECK (at < '2024-01-01')) INHERITS (reading);
ALTER TABLE reading ADD COLUMN unit text;
INSERT INTO reading_2023 (at, v, station, unit) SELECT '2023-01-01'::date + i % 300, i, 'station ' || i % 7, 'unit ' || i % 3 FROM generate_series(1, 1000) i;
--@ check
SELECT count(*), sum(v), max(station), max(unit) FROM reading_2023;
--@ expect
1000|500500|station 6|unit 2
