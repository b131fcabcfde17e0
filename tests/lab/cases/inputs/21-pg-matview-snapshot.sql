-- CASE 21: a materialized view that keeps what its tables no longer hold (a yearly report), and the tables were pruned since
-- SOURCE: xataio/pgstream PR#908; dimitri/pgcopydb #484, PR#1009; turbot/steampipe PR#1935
-- ENGINE: postgres
-- RIGHT: its 100 rows come over, or the test and the move say that the view is computed anew (and refuse when that would lose rows)
--@ account
CREATE TABLE sale (id serial PRIMARY KEY, year integer, amount integer);
INSERT INTO sale (year, amount) SELECT 2024, i FROM generate_series(1, 100) i;
CREATE MATERIALIZED VIEW report_2024 AS SELECT id, amount FROM sale WHERE year = 2024;
DELETE FROM sale WHERE year = 2024;
--@ check
SELECT count(*), sum(amount) FROM report_2024;
--@ expect
100|5050
