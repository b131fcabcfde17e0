-- CASE m05: a cascade through a table without a key
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE c (pid int, code int, KEY (code), FOREIGN KEY (pid) REFERENCES p (id) ON DELETE CASCADE);
CREATE TABLE g (id int PRIMARY KEY, code int, FOREIGN KEY (code) REFERENCES c (code) ON DELETE CASCADE);
INSERT INTO p VALUES (1),(2);
INSERT INTO c VALUES (1,100),(2,200);
INSERT INTO g VALUES (5,100),(6,100),(7,200);
--@ meanwhile
DELETE FROM p WHERE id = 1;
--@ check
SELECT * FROM g ORDER BY id;
