-- CASE 47: a customer's functions that are called like functions which 11.x has itself: the call means another thing
-- SOURCE: infusion/udf_infusion PR#27; GM-Alex/user-access-manager #454 (to_date, 12.3)
-- ENGINE: mariadb
-- RIGHT: they are called as before, or the report names them
--@ account
CREATE FUNCTION format_bytes(n bigint) RETURNS varchar(30) DETERMINISTIC RETURN CONCAT(ROUND(n / 1024), ' KB, ours');
CREATE FUNCTION uuid_v7() RETURNS varchar(40) NOT DETERMINISTIC RETURN 'ours';
CREATE FUNCTION json_key_value(d text, k text) RETURNS text DETERMINISTIC RETURN JSON_UNQUOTE(JSON_EXTRACT(d, CONCAT('$.', k)));
CREATE TABLE f (id int PRIMARY KEY, bytes bigint); INSERT INTO f VALUES (1, 2048);
--@ check
SELECT format_bytes(2048), uuid_v7(), json_key_value('{"a": 1}', 'a');
--@ expect
2 KB, ours	ours	1
