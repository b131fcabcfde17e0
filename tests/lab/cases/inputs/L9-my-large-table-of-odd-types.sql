-- LAB L9: a table over 4 MiB with POINT, a SPATIAL key, UUID and INET6 columns (it goes by LOAD DATA; under 4 MiB it arrives)
-- ENGINE: mariadb   FROM 10.11 TO 11.8, and 11.8 TO 11.8
-- RIGHT: the account moves; every row is equal
--@ account
CREATE TABLE geo (id INT AUTO_INCREMENT PRIMARY KEY, p POINT NOT NULL, SPATIAL KEY (p), u UUID DEFAULT UUID(), i INET6, filler VARCHAR(200));
INSERT INTO geo (p, i, filler) SELECT POINT(seq % 180, seq % 90), CONCAT('2001:db8::', HEX(seq % 65535)), REPEAT('x', 200) FROM seq_1_to_30000;
--@ check
SELECT COUNT(*), SUM(ST_X(p)), COUNT(DISTINCT u), COUNT(i) FROM geo;
--@ expect
(as before)
