CREATE OR REPLACE FUNCTION server_runs(server_ text, kind_ text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT version_of(infrastructure, versions, kind_) FROM servers WHERE name = server_
$$;
