-- LAB L4: CREATE DATABASE as postgres, then GRANT ALL PRIVILEGES ON DATABASE and ON SCHEMA public: the user owns its tables, postgres the database
-- ENGINE: postgres
-- RIGHT: the account moves (or the sentence says ALTER DATABASE ... OWNER TO)
--@ root
ALTER DATABASE acct_db OWNER TO postgres;
GRANT ALL PRIVILEGES ON DATABASE acct_db TO acct;
GRANT ALL ON SCHEMA public TO acct;
--@ account
CREATE TABLE t (id integer PRIMARY KEY);
INSERT INTO t SELECT generate_series(1, 10);
--@ check
CREATE TABLE made_after (id integer); SELECT count(*) FROM t; DROP TABLE made_after;
--@ expect
10
