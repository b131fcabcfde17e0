-- CASE m06: a cascade through a table that was altered meanwhile
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE c (id int PRIMARY KEY, pid int, FOREIGN KEY (pid) REFERENCES p (id) ON DELETE CASCADE);
CREATE TABLE g (id int PRIMARY KEY, cid int, FOREIGN KEY (cid) REFERENCES c (id) ON DELETE CASCADE);
INSERT INTO p VALUES (1),(2);
INSERT INTO c VALUES (100,1),(200,2);
INSERT INTO g VALUES (5,100),(6,100),(7,200);
--@ meanwhile
ALTER TABLE c ADD KEY more (pid, id);
DELETE FROM p WHERE id = 1;
--@ check
SELECT * FROM g ORDER BY id;
