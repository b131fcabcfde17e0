CREATE OR REPLACE FUNCTION billing_free_days() RETURNS integer LANGUAGE sql STABLE
    AS 'SELECT free_days FROM billing_settings';
