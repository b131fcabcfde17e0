-- LAB L8: defaults in other character sets than utf8: latin1, ucs2, binary(1) flags, and of ENUM, SET, BIT with special letters
-- ENGINE: mariadb
-- RIGHT: the account moves
--@ account
CREATE TABLE d (id int PRIMARY KEY, a varchar(10) CHARACTER SET latin1 DEFAULT 'Käse', b varchar(10) CHARACTER SET ucs2 DEFAULT 'ü', c enum('é','x') CHARACTER SET latin1 DEFAULT 'é', e set('é','x') DEFAULT 'é,x', f bit(8) DEFAULT b'10101010', g varchar(10) DEFAULT 'it''s \\ "q"', h char(1) CHARACTER SET latin1 COLLATE latin1_bin DEFAULT 'ÿ', i varchar(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT '🐄', j tinyint(1) DEFAULT '1', k float DEFAULT 0.1, l double DEFAULT 1e30, m date DEFAULT '0000-00-00', n char(36) DEFAULT 'x', o varchar(20) DEFAULT concat('a', 'b')) CHARACTER SET utf8mb4;
INSERT INTO d (id) VALUES (1);
--@ check
SELECT a, HEX(b), c, e, HEX(f), g, HEX(h), i, j, k, l, m, o FROM d;
--@ expect
(as before)
