-- CASE 19: a primary key of a type whose operators are not in pg_catalog (ltree), and a row that changes during the move
-- SOURCE: 2ndQuadrant/pglogical (extension types in keys); timescale/pgspot PR#51
-- ENGINE: postgres
-- RIGHT: the account moves with the change
--@ account
CREATE EXTENSION ltree;
CREATE TABLE category (path ltree PRIMARY KEY, title text);
INSERT INTO category SELECT ('top.a' || i)::ltree, 'title ' || i FROM generate_series(1, 200) i;
--@ meanwhile
UPDATE category SET title = 'changed' WHERE path = 'top.a7';
--@ check
SELECT title FROM category WHERE path = 'top.a7';
--@ expect
changed
