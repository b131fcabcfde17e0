-- CASE M8: users by other plugins, from other hosts, locked, with limits and certificates, and grants of each level
-- ENGINE: mariadb
-- USERS: acct@localhost shop@localhost remote@localhost
-- RIGHT: the account moves, and who may do what, and how they log in, is as it was
--@ account
CREATE TABLE t (a int PRIMARY KEY, b int, c text); INSERT INTO t VALUES (1, 2, 'x'); CREATE PROCEDURE p() SELECT 'ran' AS r; CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 5; CREATE VIEW v AS SELECT a FROM t;
--@ root
REVOKE ALL PRIVILEGES, GRANT OPTION FROM shop@localhost; GRANT SELECT (a, c), INSERT (a), UPDATE (b) ON acct_db.t TO shop@localhost; GRANT EXECUTE ON PROCEDURE acct_db.p TO shop@localhost; GRANT EXECUTE, ALTER ROUTINE ON FUNCTION acct_db.f TO shop@localhost WITH GRANT OPTION; GRANT SELECT, SHOW VIEW ON acct_db.v TO shop@localhost; GRANT CREATE TEMPORARY TABLES, LOCK TABLES ON `acct\_db`.* TO shop@localhost; GRANT DELETE HISTORY, TRIGGER, REFERENCES ON acct_db.t TO remote@localhost;
ALTER USER remote@localhost REQUIRE SUBJECT '/CN=a b''c' AND ISSUER '/CN=ca' AND CIPHER 'TLS_AES_256_GCM_SHA384' WITH MAX_USER_CONNECTIONS 4 MAX_STATEMENT_TIME 2.5 ACCOUNT LOCK PASSWORD EXPIRE INTERVAL 90 DAY; GRANT PROXY ON acct@localhost TO shop@localhost;
--@ check as shop
SELECT a, c FROM acct_db.t; CALL acct_db.p(); SELECT acct_db.f(); SELECT * FROM acct_db.v; CREATE TEMPORARY TABLE acct_db.tmp (i int); SELECT b FROM acct_db.t;
--@ check as root
SHOW GRANTS FOR shop@localhost; SHOW GRANTS FOR remote@localhost; SHOW CREATE USER remote@localhost; SHOW GRANTS FOR acct@localhost;
--@ expect
(as before)
