-- CASE 89: one bytea of 600 MB (heavy: needs 3 GB of memory for the server)
-- SOURCE: 2ndQuadrant/pglogical #482; PostgreSQL BUG #18775
-- ENGINE: postgres
-- RIGHT: the account moves (COPY BINARY), or the test names table and row
--@ account
CREATE TABLE file (id integer PRIMARY KEY, data bytea);
ALTER TABLE file ALTER data SET STORAGE EXTERNAL;
INSERT INTO file VALUES (1, convert_to(repeat('x', 600 * 1024 * 1024), 'UTF8'));
--@ check
SELECT id, length(data) FROM file;
--@ expect
1|629145600
