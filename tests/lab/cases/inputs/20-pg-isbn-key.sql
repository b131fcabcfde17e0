-- CASE 20: as 19 with isn's isbn13, hstore and cube in keys
-- SOURCE: as 19
-- ENGINE: postgres
-- ROOT FIRST: isn is trusted
-- RIGHT: the account moves with the changes
--@ account
CREATE EXTENSION isn; CREATE EXTENSION hstore;
CREATE TABLE book (isbn isbn13 PRIMARY KEY, title text);
INSERT INTO book VALUES ('978-0-393-04002-9', 'one'), ('978-0-306-40615-7', 'two');
CREATE TABLE tagged (tags hstore PRIMARY KEY, n integer);
INSERT INTO tagged VALUES ('a=>1', 1), ('b=>2', 2);
--@ meanwhile
UPDATE book SET title = 'changed' WHERE isbn = '978-0-393-04002-9'; UPDATE tagged SET n = 9 WHERE tags = 'a=>1';
--@ check
SELECT count(*) FROM book WHERE title = 'changed'; SELECT sum(n) FROM tagged;
--@ expect
1
11
