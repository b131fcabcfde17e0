-- CASE 10: the database has an idle_in_transaction_session_timeout (the usual advice), shorter than the load
-- SOURCE: dimitri/pgcopydb #900, PR#116; neondatabase/neon PR#10692; PeerDB-io/peerdb PR#3575
-- ENGINE: postgres
-- RIGHT: the account moves
--@ account
CREATE TABLE log (id bigserial PRIMARY KEY, line text);
INSERT INTO log (line) SELECT repeat(md5(i::text), 12) FROM generate_series(1, 300000) i;
CREATE TABLE other AS SELECT id, line FROM log LIMIT 50000;
ALTER DATABASE acct_db SET idle_in_transaction_session_timeout = '2s';
--@ check
SELECT count(*) FROM log;
--@ expect
300000
