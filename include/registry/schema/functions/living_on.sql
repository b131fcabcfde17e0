CREATE OR REPLACE FUNCTION living_on(server_ text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(who, ', ') FROM who_is_on(server_) AS who
$$;
