-- What is under way with a server: its migration, the one that it is the transit of, a move that it takes part in.
CREATE OR REPLACE FUNCTION under_way(server_ text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT what FROM (
        SELECT format('the migration of %s', server) AS what FROM live_migrations WHERE server_ IN (server, transit)
        UNION ALL
        SELECT format('the move of %s', account) FROM live_moves WHERE server_ IN (original, from_server, to_server)
    ) w ORDER BY what LIMIT 1
$$;
