-- CASE m03: a view with another query
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (1),(2),(3);
CREATE VIEW v AS SELECT * FROM t WHERE id < 2;
--@ meanwhile
CREATE OR REPLACE VIEW v AS SELECT * FROM t WHERE id < 3;
--@ check
SELECT COUNT(*) FROM v;
