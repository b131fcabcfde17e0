-- CASE 03: a role that may grant has granted on: the dump holds SET SESSION AUTHORIZATION
-- SOURCE: bestinslot-xyz/OPI PR#19; ansible/awx-operator PR#2084
-- ENGINE: postgres
-- ROLES: acct acct_ro
-- RIGHT: the account moves with both grants
--@ account
CREATE TABLE shared (id integer PRIMARY KEY, v text);
INSERT INTO shared VALUES (1, 'x');
GRANT SELECT ON shared TO acct_ro WITH GRANT OPTION;
--@ root after
SET ROLE acct_ro;
GRANT SELECT ON shared TO PUBLIC;
--@ check
SELECT count(*), (SELECT string_agg(a.grantee::regrole::text || ':' || a.grantor::regrole::text, ',' ORDER BY a.grantee) FROM pg_class c, aclexplode(c.relacl) a WHERE c.relname = 'shared' AND a.privilege_type = 'SELECT') FROM shared;
--@ expect
1|-:acct_ro,acct:acct,acct_ro:acct
