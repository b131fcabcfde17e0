-- CASE m22: every type in a table that goes by LOAD DATA
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
SET NAMES utf8mb4;
SET time_zone = '+00:00', sql_mode = '';
CREATE TABLE types (id int AUTO_INCREMENT PRIMARY KEY, a tinyint, b smallint unsigned, c mediumint, d bigint unsigned, e decimal(20,6), f float, g double,
  h bit(9), i year, j date, k time(6), l datetime(3), m timestamp(6) NULL, n char(5), o varchar(60) CHARACTER SET latin1, p varchar(20) CHARACTER SET ucs2,
  q binary(4), r varbinary(20), s text, t blob, u enum('x','y','ä'), v set('a','b','c'), w json, x inet4, y inet6, z uuid,
  ga point, gb geometry, gc linestring, gd polygon, s2 longtext COMPRESSED, s3 varchar(9) CHARACTER SET utf8mb4, s4 mediumblob);
INSERT INTO types SELECT NULL, CAST(seq % 100 AS int) - 50, seq % 60000, 0 - CAST(seq AS int), 18446744073709551615 - seq, seq / 7, seq / 3, SQRT(seq),
  seq % 512, 1901 + seq % 250, DATE '1000-01-01' + INTERVAL seq DAY, SEC_TO_TIME(CAST(seq * 77 AS int) - 400000) + INTERVAL 7 MICROSECOND,
  TIMESTAMP '2001-02-03 04:05:06.789' + INTERVAL seq HOUR, FROM_UNIXTIME(1 + seq * 1000.5), CHAR(65 + seq % 26), CONCAT('é\t', seq),
  CONCAT('ü', seq), UNHEX(LPAD(HEX(seq), 8, '0')), CONCAT(X'00010A09', seq, X'5C1A'), CONCAT('\\N', X'01', seq, '\n', REPEAT('f', 600)),
  CONCAT(X'FF0001', MD5(seq)), seq % 3 + 1, seq % 8, CONCAT('{"n": ', seq, '}'), INET_NTOA(seq), CONCAT('2001:db8::', HEX(seq % 65535)),
  CONCAT('01890a5d-ac96-774b-bcce-', LPAD(HEX(seq), 12, '0')), POINT(seq, seq / 3), ST_GeomFromText(CONCAT('POINT(', seq, ' 1)')),
  LINESTRING(POINT(0, 0), POINT(seq, 1)), ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'), REPEAT('z', seq % 50), '😀', NULL FROM seq_1_to_9000;
INSERT INTO types (a) VALUES (NULL);
INSERT INTO types (n, o, r, s, t, s3, v) VALUES ('', '', '', '', '', 'NULL', '');
--@ meanwhile
UPDATE types SET o = 'changed', ga = POINT(1, 2), z = UUID() WHERE id % 100 = 0;
DELETE FROM types WHERE id % 101 = 0;
--@ check
SET time_zone = '+00:00', sql_mode = '';
SELECT COUNT(*), SUM(CRC32(CONCAT_WS('|', id, a, b, c, d, e, g, h + 0, i, j, k, l, m, n, HEX(o), HEX(p), HEX(q), HEX(r), MD5(s), MD5(t), u + 0, v + 0, w, x, y, z))),
  SUM(CRC32(CONCAT_WS('|', CAST(f AS DOUBLE), HEX(ga), HEX(gb), HEX(gc), HEX(gd), MD5(s2), HEX(s3), s4 IS NULL))) FROM types;
