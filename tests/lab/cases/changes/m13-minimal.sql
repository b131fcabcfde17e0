-- CASE m13: rows changed by cascades whose old values a MINIMAL image leaves out
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE p (id int PRIMARY KEY, code varchar(20) NOT NULL, n int, UNIQUE (code));
CREATE TABLE c (id int PRIMARY KEY, code varchar(20), FOREIGN KEY (code) REFERENCES p (code) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE s (id int PRIMARY KEY, code varchar(20), FOREIGN KEY (code) REFERENCES p (code) ON DELETE SET NULL ON UPDATE SET NULL);
INSERT INTO p VALUES (1,'a',0),(2,'b',0),(3,'c',0);
INSERT INTO c VALUES (10,'a'),(11,'a'),(20,'b'),(30,'c');
INSERT INTO s VALUES (10,'a'),(20,'b'),(30,'c');
--@ meanwhile as root
SET SESSION binlog_row_image = MINIMAL;
DELETE FROM p WHERE id = 1;
UPDATE p SET code = 'B' WHERE id = 2;
UPDATE p SET n = 7 WHERE id = 3;
--@ check
SELECT * FROM p ORDER BY id; SELECT * FROM c ORDER BY id; SELECT * FROM s ORDER BY id;
