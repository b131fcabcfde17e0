-- CASE 87: a unique index that holds a duplicate (an index that broke at the last glibc upgrade)
-- SOURCE: pgautoupgrade/docker-pgautoupgrade #89; cloudfoundry/bosh PR#2430
-- ENGINE: postgres
-- RIGHT: the test names the table and the two rows and what to do
--@ account
CREATE TABLE login (id serial PRIMARY KEY, name text); CREATE UNIQUE INDEX login_name ON login (name);
INSERT INTO login (name) VALUES ('ann'), ('bob');
--@ root after
UPDATE pg_index SET indisready = false, indisvalid = false WHERE indexrelid = 'login_name'::regclass; INSERT INTO login (name) VALUES ('bob'); UPDATE pg_index SET indisready = true, indisvalid = true WHERE indexrelid = 'login_name'::regclass;
--@ check
SELECT count(*) FROM login;
--@ expect
3
