-- CASE m17: a transaction that XA prepares before the copy and that is committed after it
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE p (id int PRIMARY KEY, code int NOT NULL, UNIQUE (code));
CREATE TABLE c (id int PRIMARY KEY, code int, FOREIGN KEY (code) REFERENCES p (code) ON DELETE CASCADE);
INSERT INTO p VALUES (1,1),(2,2);
INSERT INTO c VALUES (10,1),(20,2);
XA START 'acct';
INSERT INTO p VALUES (3,3);
DELETE FROM p WHERE id = 1;
XA END 'acct';
XA PREPARE 'acct';
--@ meanwhile
XA COMMIT 'acct';
--@ check
SELECT * FROM p ORDER BY id; SELECT * FROM c ORDER BY id;
