-- CASE 12: an old database in SQL_ASCII that holds bytes which are no UTF-8
-- SOURCE: dimitri/pgcopydb #874, PR#1020; EndPointCorp/end-point-blog #1317
-- ENGINE: postgres
-- CREATE DATABASE WITH: TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'
-- RIGHT: the account moves, every byte as it was
--@ account
SET client_encoding = 'SQL_ASCII';
CREATE TABLE words (id serial PRIMARY KEY, w text);
INSERT INTO words (w) VALUES (E'caf\351'), (E'na\357ve'), ('plain');
--@ check
SET client_encoding = 'SQL_ASCII'; SELECT count(*), encode(w::bytea, 'hex') FROM words WHERE id = 1 GROUP BY 2;
--@ expect
1|636166e9
