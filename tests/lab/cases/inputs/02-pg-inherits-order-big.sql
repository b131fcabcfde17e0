-- CASE 02: as 01, but the child is over 4 MiB, so that its rows go by the stream of COPY without column names
-- SOURCE: CartoDB/cartodb-postgresql #276; greenplum-db/gpdb #4955
-- ENGINE: postgres
-- RIGHT: as 01: no text may land in the other text column
--@ account
CREATE TABLE note (id bigint NOT NULL);
CREATE TABLE note_old (author text) INHERITS (note);
ALTER TABLE note ADD COLUMN body text;
INSERT INTO note_old (id, author, body) SELECT i, 'author ' || i, repeat('body ', 20) || i FROM generate_series(1, 60000) i;
--@ check
SELECT count(*), count(*) FILTER (WHERE author LIKE 'author %' AND body LIKE 'body %') FROM note_old;
--@ expect
60000|60000
