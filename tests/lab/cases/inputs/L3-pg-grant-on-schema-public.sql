-- LAB L3: the recipe of every tutorial since PostgreSQL 15: GRANT ALL ON SCHEMA public TO the user, typed by the administrator
-- ENGINE: postgres
-- RIGHT: the account moves; its user may make tables in public
--@ account
CREATE TABLE t (id integer PRIMARY KEY);
INSERT INTO t SELECT generate_series(1, 10);
--@ root
GRANT ALL ON SCHEMA public TO acct;
--@ check
CREATE TABLE made_after (id integer); SELECT count(*) FROM t; DROP TABLE made_after;
--@ expect
10
