-- Who serves on a server, and where an account's parts lie there, by its own word; one that does not tell is ours.
CREATE OR REPLACE FUNCTION layout_of(server_ text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT description ->> 'layout' FROM servers WHERE name = server_), 'native')
$$;
