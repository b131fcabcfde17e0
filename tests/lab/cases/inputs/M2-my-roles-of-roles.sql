-- CASE M2: a role that has another role, one with rights on a table and on a routine, and a user with limits and a password that is to be changed
-- ENGINE: mariadb
-- USERS: acct@localhost shop@localhost late@localhost
-- RIGHT: the account moves, and who may do what is as it was
--@ account
CREATE TABLE t (id int PRIMARY KEY, secret int); INSERT INTO t VALUES (1, 7);
CREATE FUNCTION one() RETURNS int DETERMINISTIC RETURN 1;
--@ root
CREATE ROLE shop_reader; CREATE ROLE shop_all; GRANT SELECT (id) ON acct_db.t TO shop_reader; GRANT EXECUTE ON FUNCTION acct_db.one TO shop_all;
GRANT shop_reader TO shop_all; GRANT shop_all TO shop@localhost WITH ADMIN OPTION; SET DEFAULT ROLE shop_all FOR shop@localhost;
ALTER USER shop@localhost WITH MAX_USER_CONNECTIONS 9 MAX_QUERIES_PER_HOUR 10000; ALTER USER late@localhost PASSWORD EXPIRE;
--@ check as shop
SELECT id, acct_db.one() FROM acct_db.t; SELECT secret FROM acct_db.t;
--@ check as root
SHOW GRANTS FOR shop@localhost; SHOW GRANTS FOR shop_all; SHOW CREATE USER shop@localhost; SHOW CREATE USER late@localhost; SELECT JSON_VALUE(Priv, '$.default_role') FROM mysql.global_priv WHERE User = 'shop';
--@ expect
(as before)
