-- CASE 32: a table that was made with innodb_strict_mode = OFF (or long ago) and is "too large" for it
-- SOURCE: Aiven-Open/myhoard PR#150; tine-groupware/tine #7214; louislam/uptime-kuma #7230; hestiacp/hestiacp #1412
-- ENGINE: mariadb
-- RIGHT: the account moves
--@ account
SET SESSION innodb_strict_mode = OFF;
SET @c = '';
SELECT GROUP_CONCAT(CONCAT('c', seq, ' varchar(200) CHARACTER SET latin1') SEPARATOR ', ') INTO @c FROM seq_1_to_60;
EXECUTE IMMEDIATE CONCAT('CREATE TABLE wide (id int PRIMARY KEY, ', @c, ') ENGINE=InnoDB ROW_FORMAT=DYNAMIC');
INSERT INTO wide (id, c1, c60) VALUES (1, 'first', 'last');
--@ check
SELECT id, c1, c60 FROM wide;
--@ expect
1	first	last
