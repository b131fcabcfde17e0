-- CASE m18: cascades of every kind: SET NULL, composite, to itself, without a key, three deep
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE p (a int, b int, n int, PRIMARY KEY (a, b));
CREATE TABLE c (id int PRIMARY KEY, a int, b int, KEY (id, a), FOREIGN KEY (a, b) REFERENCES p (a, b) ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE tree (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE);
CREATE TABLE loose (a int, b int, code int, KEY (code), FOREIGN KEY (a, b) REFERENCES p (a, b) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE below (id int PRIMARY KEY, code int, FOREIGN KEY (code) REFERENCES loose (code) ON DELETE CASCADE);
CREATE TABLE lowest (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES below (id) ON DELETE SET NULL);
INSERT INTO p VALUES (1,1,0),(1,2,0),(2,1,0);
INSERT INTO c VALUES (1,1,1),(2,1,2),(3,2,1);
INSERT INTO tree VALUES (1,NULL),(2,1),(3,2),(4,3),(5,NULL);
INSERT INTO loose VALUES (1,1,100),(1,2,200);
INSERT INTO below VALUES (1,100),(2,200);
INSERT INTO lowest VALUES (1,1),(2,2);
--@ meanwhile
DELETE FROM p WHERE a = 1 AND b = 1;
UPDATE p SET a = 9 WHERE a = 2;
DELETE FROM tree WHERE id = 2;
--@ check
SELECT * FROM c ORDER BY id; SELECT * FROM tree ORDER BY id; SELECT * FROM loose; SELECT * FROM below ORDER BY id; SELECT * FROM lowest ORDER BY id;
