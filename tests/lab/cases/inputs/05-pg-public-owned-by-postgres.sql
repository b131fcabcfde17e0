-- CASE 05: a database that was made before PostgreSQL 15 and upgraded since: its schema public is postgres' and open to all
-- SOURCE: ansible/awx-operator PR#2084; sameersbn/docker-gitlab #2859; cyrilgdn/terraform-provider-postgresql #301
-- ENGINE: postgres
-- RIGHT: the account moves; its program can still make tables in public
--@ account
CREATE TABLE t (id integer PRIMARY KEY);
INSERT INTO t SELECT generate_series(1, 10);
--@ root
ALTER SCHEMA public OWNER TO postgres;
GRANT ALL ON SCHEMA public TO PUBLIC;
GRANT ALL ON SCHEMA public TO acct;
--@ check
CREATE TABLE made_after (id integer); SELECT count(*) FROM t; DROP TABLE made_after;
--@ expect
10
