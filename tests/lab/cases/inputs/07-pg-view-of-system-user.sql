-- CASE 07: as 06 in a view: the server itself prints the name without quotes, so the new pg_dump alone does not help
-- SOURCE: terraware/terraware-server PR#2870; apache/shardingsphere PR#39385
-- ENGINE: postgres
-- RIGHT: the view is there and gives the column, not the name of who is logged in
--@ account
CREATE TABLE people (id serial PRIMARY KEY, system_user boolean NOT NULL DEFAULT false);
INSERT INTO people (system_user) SELECT i % 2 = 0 FROM generate_series(1, 10) i;
CREATE VIEW staff AS SELECT id, system_user FROM people WHERE system_user;
--@ check
SELECT count(*) FROM staff;
--@ expect
5
