-- CASE 38: as 37 with a stored function of the other database in a view
-- SOURCE: databacker/mysql-backup #453
-- ENGINE: mariadb
-- DATABASES: acct_db acct_lib
-- RIGHT: the account moves
--@ account
CREATE FUNCTION acct_lib.vat(x decimal(10,2)) RETURNS decimal(10,2) DETERMINISTIC RETURN x * 1.2;
CREATE TABLE acct_db.item (id int PRIMARY KEY, price decimal(10,2)); INSERT INTO acct_db.item VALUES (1, 10);
CREATE VIEW acct_db.priced AS SELECT id, acct_lib.vat(price) AS gross FROM acct_db.item;
--@ check
SELECT gross FROM acct_db.priced;
--@ expect
12.00
