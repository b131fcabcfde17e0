-- CASE 36: a view that has been broken for years (its table was renamed or dropped), which nobody uses
-- SOURCE: friendica/friendica #9975; thespacedoctor/sherlock #87; dsteinkopf/backup-all-mysql #17
-- ENGINE: mariadb
-- RIGHT: the account moves; the view is told as left behind, or made as broken as it was
--@ account
CREATE TABLE orders (id int PRIMARY KEY, total int); INSERT INTO orders VALUES (1, 10);
CREATE TABLE gone (id int PRIMARY KEY);
CREATE VIEW leftover AS SELECT o.id, g.id AS g FROM orders o JOIN gone g USING (id);
DROP TABLE gone;
--@ check
SELECT total FROM orders;
--@ expect
10
