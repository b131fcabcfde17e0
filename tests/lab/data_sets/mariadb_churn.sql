-- What is written to while it is followed, and a procedure that writes; to be run by one of the account's users.
SET NAMES utf8mb4;
CREATE TABLE plain (
  id bigint unsigned AUTO_INCREMENT PRIMARY KEY, s varchar(100), n int, f float, b bit(9), d decimal(12, 3), t mediumtext, bl blob,
  ts timestamp(3) NULL, e enum('x', 'é', '3'), st set('a', 'b', 'c'), twice int GENERATED ALWAYS AS (n * 2) STORED,
  never int GENERATED ALWAYS AS (n * 3) VIRTUAL, seen int INVISIBLE DEFAULT 1, u varchar(40) UNIQUE, KEY (n), KEY (s(20))
);
CREATE TABLE pairs (a int, k varchar(30), day date, x decimal(9, 2), v int, PRIMARY KEY (day, a, k, x));
CREATE TABLE bytes (k binary(6) PRIMARY KEY, v varchar(20) CHARACTER SET latin1);
CREATE TABLE times (at datetime(3) NOT NULL, e enum('one', 'two') NOT NULL, v int, UNIQUE KEY (at, e));
CREATE TABLE moments (at timestamp(6) PRIMARY KEY, v int);
CREATE TABLE codes (c char(8) CHARACTER SET latin1 PRIMARY KEY, v text CHARACTER SET ucs2);
CREATE TABLE ids (u uuid PRIMARY KEY, v int);
CREATE TABLE loose (a int, b varchar(50), f float);
CREATE TABLE packed (id int AUTO_INCREMENT PRIMARY KEY, v varchar(50)) ENGINE = MyISAM;
CREATE TABLE parents (id int PRIMARY KEY, code varchar(20) UNIQUE NOT NULL);
CREATE TABLE children (id int AUTO_INCREMENT PRIMARY KEY, parent int, code varchar(20) NOT NULL, KEY (parent),
  FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE grandchildren (child int, n int, PRIMARY KEY (child, n),
  FOREIGN KEY (child) REFERENCES children (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE tied (code varchar(20), n int, v int, PRIMARY KEY (code, n),
  FOREIGN KEY (code) REFERENCES parents (code) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE `we``ird; 名` (`k ``1` varchar(20) PRIMARY KEY, `v;` int);
CREATE TABLE audit (id int AUTO_INCREMENT PRIMARY KEY, what varchar(200));
CREATE TABLE cache (k varchar(50) PRIMARY KEY, v int);
CREATE SEQUENCE tickets START 10 INCREMENT 3 CACHE 5;
CREATE VIEW plain_view AS SELECT id, s FROM plain;
INSERT INTO plain (s, n, f, b, d, t, bl, u) SELECT md5(seq), seq, 1 / (seq + 0.3), seq % 512, seq / 7, repeat(md5(seq), seq % 30),
  unhex(md5(seq)), seq FROM seq_1_to_8000;
INSERT INTO pairs SELECT seq % 50, concat('k', seq), '2024-01-01' + INTERVAL seq % 300 DAY, -seq / 3, seq FROM seq_1_to_3000;
INSERT INTO parents SELECT seq, concat('p', seq) FROM seq_1_to_500;
INSERT INTO children (parent, code) SELECT 1 + seq % 500, seq FROM seq_1_to_2000;
INSERT INTO grandchildren SELECT 1 + seq % 2000, seq FROM seq_1_to_3000;
INSERT INTO tied SELECT concat('p', 1 + seq % 500), seq, seq FROM seq_1_to_1500;
INSERT INTO loose SELECT seq, md5(seq), seq / 3 FROM seq_1_to_200;
DELIMITER $$
CREATE TRIGGER told AFTER INSERT ON plain FOR EACH ROW INSERT INTO audit (what) VALUES (concat('new ', NEW.id))$$
CREATE TRIGGER changed BEFORE UPDATE ON plain FOR EACH ROW SET NEW.ts = now(3)$$
CREATE TRIGGER counted AFTER DELETE ON plain FOR EACH ROW INSERT INTO audit (what) VALUES (concat('gone ', OLD.id))$$
CREATE EVENT beat ON SCHEDULE EVERY 1 SECOND DO INSERT INTO audit (what) VALUES ('beat')$$
CREATE PROCEDURE churn(rounds int) MODIFIES SQL DATA
BEGIN
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
  WHILE rounds > 0 DO
    SET rounds = rounds - 1, @i = floor(1 + rand() * 9000), @j = floor(1 + rand() * 520);
    CASE floor(rand() * 22)
      WHEN 0 THEN INSERT INTO plain (s, n, f, b, d, t, bl, e, st, u) VALUES (concat('é\0😀\'"\\', uuid()), @i, rand(), @j % 512,
        -rand() * 1000, repeat('wörd\n', @j), x'00ff0a5c27', 1 + @j % 3, @j % 8, uuid());
      WHEN 1 THEN UPDATE plain SET n = @j, s = NULL WHERE id = @i;
      WHEN 2 THEN DELETE FROM plain WHERE id = @i;
      WHEN 3 THEN START TRANSACTION; UPDATE plain SET u = NULL WHERE id = @i; UPDATE IGNORE plain SET u = @i WHERE id = @j; COMMIT;
      WHEN 4 THEN REPLACE INTO pairs VALUES (@j % 50, concat(if(@i % 2, 'K', 'k'), @i % 60), '2024-02-03', -@j / 3, @i);
      WHEN 5 THEN UPDATE pairs SET a = a + 100 WHERE a = @j % 200 LIMIT 5;
      WHEN 6 THEN DELETE FROM pairs WHERE day = '2024-01-01' + INTERVAL @j DAY;
      WHEN 7 THEN REPLACE INTO bytes VALUES (unhex(hex(@i)), 'ü'), (concat(char(@j % 256), '\0\0'), NULL);
      WHEN 8 THEN REPLACE INTO times VALUES ('2024-01-01' + INTERVAL @i * 1001000 MICROSECOND, 1 + @j % 2, @j);
      WHEN 9 THEN REPLACE INTO moments VALUES (now(6), @j), ('2024-06-01 00:00:00.5' + INTERVAL @i MINUTE, @i);
      WHEN 10 THEN REPLACE INTO codes VALUES (concat('é', @j, ' '), 'é名'), (@i, NULL);
      WHEN 11 THEN INSERT INTO packed (v) VALUES (@i); DELETE FROM packed WHERE id = @j;
      WHEN 12 THEN DELETE FROM parents WHERE id = @j;
      WHEN 13 THEN UPDATE parents SET id = id + 1000 WHERE id = @j;
      WHEN 14 THEN UPDATE parents SET code = concat('q', @i) WHERE id = @j;
      WHEN 15 THEN INSERT INTO parents VALUES (@j, concat('n', @i)); INSERT INTO children (parent, code) VALUES (@j, @i);
      WHEN 16 THEN UPDATE children SET id = id + 100000 WHERE id = @i; INSERT INTO grandchildren VALUES (@j, @i);
      WHEN 17 THEN INSERT INTO tied SELECT code, @i, @j FROM parents WHERE id = @j;
      WHEN 18 THEN REPLACE INTO `we``ird; 名` VALUES (concat('`\'"', @j), @i); SET @x = NEXT VALUE FOR tickets;
      WHEN 19 THEN START TRANSACTION; INSERT INTO plain (s) VALUES ('never'); ROLLBACK;
      WHEN 20 THEN REPLACE INTO ids VALUES (uuid(), @i); DELETE FROM ids ORDER BY u LIMIT 1;
      ELSE IF @keyless THEN INSERT INTO loose VALUES (@i, uuid(), rand()); DELETE FROM loose WHERE a = @j LIMIT 1; END IF;
    END CASE;
  END WHILE;
END$$
DELIMITER ;
