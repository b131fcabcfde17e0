-- CASE m04: rows that ON DELETE and ON UPDATE CASCADE change
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE p (id int PRIMARY KEY, code varchar(20) NOT NULL, UNIQUE (code));
CREATE TABLE c (id int PRIMARY KEY, code varchar(20), FOREIGN KEY (code) REFERENCES p (code) ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO p VALUES (1,'a'),(2,'b'),(3,'c');
INSERT INTO c VALUES (10,'a'),(11,'a'),(20,'b'),(30,'c');
--@ meanwhile
DELETE FROM p WHERE id = 1;
UPDATE p SET code = 'B' WHERE id = 2;
--@ check
SELECT * FROM c ORDER BY id;
