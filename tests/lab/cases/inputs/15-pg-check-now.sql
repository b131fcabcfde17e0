-- CASE 15: a CHECK that was true when the row was written and is not now
-- SOURCE: dimitri/pgcopydb #820; planetscale/pgcopydb PR#27 (does NOT VALID by itself)
-- ENGINE: postgres
-- RIGHT: the rows move (the constraint made NOT VALID after the rows), or the test names constraint and rows in a customer's words
--@ account
CREATE TABLE coupon (id serial PRIMARY KEY, expires timestamptz NOT NULL, CONSTRAINT in_future CHECK (expires > now() - interval '1 second'));
INSERT INTO coupon (expires) SELECT now() + interval '2 seconds' FROM generate_series(1, 5);
SELECT pg_sleep(4);
--@ check
SELECT count(*) FROM coupon;
--@ expect
5
