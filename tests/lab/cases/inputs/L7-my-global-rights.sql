-- LAB L7: a user with PROCESS and FILE on *.* besides its database, REQUIRE SSL, and one that has only an old_password-style empty password
-- ENGINE: mariadb
-- USERS: acct@localhost shop@localhost
-- RIGHT: moves; what is not carried is told in `left`
--@ root
GRANT PROCESS, FILE, RELOAD ON *.* TO acct@localhost; ALTER USER shop@localhost REQUIRE SSL; GRANT SELECT ON acct_db.* TO shop@localhost WITH GRANT OPTION;
--@ account
CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
--@ check
SHOW GRANTS;
--@ expect
(as before)
