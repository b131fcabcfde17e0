-- CASE 27: as 26, and the customer has added a coordinate system of their own to spatial_ref_sys (as PostGIS' manual says)
-- SOURCE: mla/pg_sample #5; dimitri/pgcopydb #174
-- ENGINE: postgres
-- ROOT FIRST: as 26; GRANT INSERT ON spatial_ref_sys by the superuser
-- RIGHT: the row comes over
--@ root
CREATE EXTENSION postgis;
GRANT INSERT, UPDATE, DELETE ON spatial_ref_sys TO acct;
--@ account
INSERT INTO spatial_ref_sys (srid, auth_name, auth_srid, srtext, proj4text) VALUES (990001, 'own', 990001, 'LOCAL_CS["own"]', '+proj=longlat');
CREATE TABLE place (id serial PRIMARY KEY, at geometry(Point, 990001));
INSERT INTO place (at) VALUES (ST_SetSRID(ST_MakePoint(1, 2), 990001));
--@ check
SELECT count(*) FROM spatial_ref_sys WHERE srid = 990001;
--@ expect
1
