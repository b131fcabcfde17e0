-- CASE M6: names with quotes, dots, slashes, spaces, keywords, a letter's case, the greatest length; databases with a dash
-- ENGINE: mariadb
-- DATABASES: acct_db acct_db-two
-- RIGHT: the account moves, every row and object as it was
--@ account
CREATE TABLE `select` (`from` int PRIMARY KEY, ` lead` int, `a.b` text, `a/b` text, `q'"``x` text, `новое` text, `%s{}` text) COMMENT 'x'; INSERT INTO `select` VALUES (1, 2, 'a', 'b', 'c', 'd', 'e'), (2, NULL, '', '\\', '''', '"', '\n');
CREATE TABLE `a.b/c d#e-f'"``g` (id int PRIMARY KEY, `key` int, KEY `a key's` (`key`)); INSERT INTO `a.b/c d#e-f'"``g` VALUES (1, 1), (2, 2); CREATE TABLE `T` (id int PRIMARY KEY); CREATE TABLE `t` (id int PRIMARY KEY); INSERT INTO T VALUES (1); INSERT INTO t VALUES (2), (3); CREATE TABLE `ünïcode таблица` (id int AUTO_INCREMENT PRIMARY KEY, v int) ; INSERT INTO `ünïcode таблица` (v) VALUES (1), (2);
CREATE TABLE `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` (`bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb` int PRIMARY KEY); INSERT INTO `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` VALUES (7); CREATE TABLE `#sql-like` (id int PRIMARY KEY); CREATE TABLE `1234` (`5` int PRIMARY KEY); INSERT INTO `1234` VALUES (5);
CREATE VIEW `v ``w` AS SELECT `from` AS `order by`, `q'"``x` FROM `select` WHERE `a.b` <> 'it''s'; CREATE TRIGGER `tr'"` BEFORE INSERT ON `ünïcode таблица` FOR EACH ROW SET NEW.v = NEW.v + 1;
CREATE PROCEDURE `p q`(IN `in` int, OUT `out` int) SET `out` = `in` * 2; CREATE FUNCTION `f'x`(a int) RETURNS varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci DETERMINISTIC RETURN CONCAT(a, ' ;-- // '''); CREATE EVENT `e;v` ON SCHEDULE EVERY 1 YEAR STARTS '2031-01-01 00:00:00' ON COMPLETION PRESERVE DISABLE COMMENT 'a;b' DO DELETE FROM `select` WHERE `from` > 99;
CREATE TABLE `acct_db-two`.`x-y` (id int PRIMARY KEY, v text); INSERT INTO `acct_db-two`.`x-y` VALUES (1, 'two'); CREATE VIEW `acct_db-two`.`over` AS SELECT id FROM acct_db.t; CREATE TABLE `acct_db-two`.`T` (id int PRIMARY KEY);
--@ meanwhile
UPDATE `select` SET `a/b` = 'changed' WHERE `from` = 2; INSERT INTO `a.b/c d#e-f'"``g` VALUES (3, 3); DELETE FROM t WHERE id = 2; INSERT INTO `ünïcode таблица` (v) VALUES (5); UPDATE `acct_db-two`.`x-y` SET v = 'drei'; INSERT INTO `acct_db-two`.T VALUES (4); UPDATE `1234` SET `5` = 6;
--@ check
SELECT * FROM `select` ORDER BY 1; SELECT * FROM `a.b/c d#e-f'"``g` ORDER BY 1; SELECT * FROM T; SELECT * FROM t; SELECT * FROM `ünïcode таблица` ORDER BY 1; SELECT * FROM `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`; SELECT * FROM `1234`; SELECT * FROM `v ``w` ORDER BY 1; CALL `p q`(4, @x); SELECT @x, `f'x`(3); SELECT * FROM `acct_db-two`.`x-y`; SELECT * FROM `acct_db-two`.`over`; SELECT * FROM `acct_db-two`.T; SELECT event_name, status, starts, event_comment, event_definition FROM information_schema.events WHERE event_schema = database();
--@ expect
(as before)
