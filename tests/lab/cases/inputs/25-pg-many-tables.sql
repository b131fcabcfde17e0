-- CASE 25: one schema a tenant: 12,000 tables in one database
-- SOURCE: vitabaks/pgbackrest_auto #11; timescale/promscale #312; django-tenants/django-tenants #943
-- ENGINE: postgres
-- RIGHT: the account moves, or the test says which server setting has to be larger
--@ account
DO $$ BEGIN FOR s IN 1..120 LOOP EXECUTE format('CREATE SCHEMA tenant_%s', s); END LOOP; END $$;
--@ account in parts
DO $$ BEGIN FOR s IN 1..40 LOOP FOR t IN 1..100 LOOP EXECUTE format('CREATE TABLE tenant_%s.t_%s (id integer PRIMARY KEY, v text)', s, t); END LOOP; COMMIT; END LOOP; END $$;
DO $$ BEGIN FOR s IN 41..80 LOOP FOR t IN 1..100 LOOP EXECUTE format('CREATE TABLE tenant_%s.t_%s (id integer PRIMARY KEY, v text)', s, t); END LOOP; COMMIT; END LOOP; END $$;
DO $$ BEGIN FOR s IN 81..120 LOOP FOR t IN 1..100 LOOP EXECUTE format('CREATE TABLE tenant_%s.t_%s (id integer PRIMARY KEY, v text)', s, t); END LOOP; COMMIT; END LOOP; END $$;
--@ check
SELECT count(*) FROM pg_class WHERE relname LIKE 't\_%' AND relkind = 'r';
--@ expect
12000
