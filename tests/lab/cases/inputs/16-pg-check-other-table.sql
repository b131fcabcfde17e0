-- CASE 16: a CHECK that asks another table by a function without the schema's name: works here, cannot be restored
-- SOURCE: dimitri/pgcopydb #264 (the same case); ArkEcosystem/core #2857; PnX-SI/GeoNature #348
-- ENGINE: postgres
-- RIGHT: the account moves with its data; at least the test names function and constraint and how to mend it
--@ account
CREATE TABLE country (code text PRIMARY KEY);
INSERT INTO country VALUES ('FR'), ('NL');
CREATE FUNCTION known_country(c text) RETURNS boolean LANGUAGE sql STABLE AS $$SELECT EXISTS (SELECT 1 FROM country WHERE code = c)$$;
CREATE TABLE address (id serial PRIMARY KEY, country text CHECK (known_country(country)));
INSERT INTO address (country) VALUES ('FR'), ('NL');
--@ check
SELECT count(*) FROM address; INSERT INTO address (country) VALUES ('FR') RETURNING country;
--@ expect
2
FR
