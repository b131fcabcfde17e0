-- CASE 48: what mysql.global_priv keeps of a user besides the hash: expiry of the password, a role as default, PROXY, and a user that was locked by too many errors
-- SOURCE: MariaDB docs (password expiry)
-- ENGINE: mariadb
-- USERS: acct@localhost batch@localhost
-- RIGHT: SHOW CREATE USER says the same on both sides, but for the time of the last change; or it is told
--@ root
ALTER USER batch@localhost PASSWORD EXPIRE INTERVAL 180 DAY;
ALTER USER acct@localhost PASSWORD EXPIRE NEVER;
--@ account
CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
--@ check as root
SELECT User, JSON_VALUE(Priv, '$.password_lifetime') FROM mysql.global_priv WHERE User IN ('acct', 'batch') ORDER BY User;
--@ expect
acct	0
batch	180
