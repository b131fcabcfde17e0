-- CASE 58: as 47, and a view calls it: the type of its column differs on 11.8
-- SOURCE: infusion/udf_infusion PR#27
-- ENGINE: mariadb
-- RIGHT: the view calls the customer's function as before, or the test tells
--@ account
CREATE FUNCTION format_bytes(n bigint) RETURNS varchar(30) DETERMINISTIC RETURN CONCAT(ROUND(n / 1024), ' KB, ours');
CREATE TABLE f (id int PRIMARY KEY, bytes bigint); INSERT INTO f VALUES (1, 2048);
CREATE VIEW sizes AS SELECT id, format_bytes(bytes) AS size FROM f;
--@ check
SELECT size FROM sizes;
--@ expect
2 KB, ours
