-- CASE P4: grants and revocations on every kind of object, to a second role, to a group, by default, and with the right to give on
-- ENGINE: postgres
-- ROLES: acct shop crew
-- RIGHT: the account moves, and who may do what is as it was
--@ root
GRANT crew TO shop WITH ADMIN OPTION; ALTER ROLE shop NOINHERIT; ALTER ROLE crew NOLOGIN CONNECTION LIMIT 3 VALID UNTIL '2038-01-19'; COMMENT ON ROLE crew IS 'the crew''s'; GRANT CONNECT, TEMPORARY ON DATABASE acct_db TO crew; REVOKE ALL ON DATABASE acct_db FROM PUBLIC; GRANT CONNECT ON DATABASE acct_db TO shop; ALTER DATABASE acct_db CONNECTION LIMIT 60;
--@ account
CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO crew WITH GRANT OPTION; GRANT USAGE ON SCHEMA s TO shop; CREATE TABLE s.t (a int, b int, c text); GRANT SELECT (a, b), UPDATE (b) ON s.t TO crew; GRANT REFERENCES, TRIGGER, TRUNCATE ON s.t TO shop WITH GRANT OPTION; INSERT INTO s.t VALUES (1, 2, 'x');
CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION s.f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION s.f() TO crew; CREATE TYPE s.e AS ENUM ('x'); REVOKE USAGE ON TYPE s.e FROM PUBLIC; GRANT USAGE ON TYPE s.e TO shop; CREATE SEQUENCE s.q; GRANT USAGE ON SEQUENCE s.q TO crew; CREATE DOMAIN s.d AS int; REVOKE ALL ON TYPE s.d FROM PUBLIC; REVOKE ALL ON TYPE s.d FROM acct;
ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO crew; ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC; ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT USAGE ON SEQUENCES TO shop WITH GRANT OPTION; REVOKE INSERT ON s.t FROM acct; REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE VIEW s.v AS SELECT a FROM s.t; GRANT SELECT ON s.v TO PUBLIC; CREATE PROCEDURE s.p() LANGUAGE sql AS ''; GRANT EXECUTE ON PROCEDURE s.p() TO shop WITH GRANT OPTION;
--@ check as root
CREATE TEMP VIEW given AS SELECT what, name, grantee::regrole::text AS grantee, privilege_type, is_grantable FROM (
 SELECT 'relation' AS what, relname::text AS name, (aclexplode(relacl)).* FROM pg_class WHERE relnamespace = 's'::regnamespace UNION ALL SELECT 'column', attname, (aclexplode(attacl)).* FROM pg_attribute WHERE attrelid = 's.t'::regclass UNION ALL SELECT 'schema', nspname, (aclexplode(nspacl)).* FROM pg_namespace WHERE nspname IN ('s', 'public') UNION ALL SELECT 'function', proname, (aclexplode(proacl)).* FROM pg_proc WHERE pronamespace = 's'::regnamespace UNION ALL SELECT 'type', typname, (aclexplode(typacl)).* FROM pg_type WHERE typnamespace = 's'::regnamespace UNION ALL SELECT 'default ' || defaclobjtype::text, '', (aclexplode(defaclacl)).* FROM pg_default_acl UNION ALL SELECT 'database', datname, (aclexplode(datacl)).* FROM pg_database WHERE datname = 'acct_db') a WHERE privilege_type <> 'MAINTAIN';
SELECT * FROM given ORDER BY 1, 2, 3, 4, 5; SELECT datconnlimit FROM pg_database WHERE datname = 'acct_db'; SELECT rolname, rolinherit, rolcanlogin, rolconnlimit, rolvaliduntil FROM pg_roles WHERE rolname ~ '^(shop|crew)' ORDER BY 1; SELECT r.rolname, m.rolname, admin_option FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member WHERE r.rolname ~ '^crew' AND m.rolname !~ '^th_' ORDER BY 1, 2;
--@ check as shop
SELECT * FROM s.v; SET ROLE crew; SELECT a FROM s.t; SELECT s.f();
--@ expect
(as before)
