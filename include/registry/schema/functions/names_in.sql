-- The names in a list of an account's description: of texts, of databases, of users with their hosts.
CREATE OR REPLACE FUNCTION names_in(list jsonb) RETURNS SETOF text LANGUAGE sql IMMUTABLE ROWS 10 AS $$
    SELECT CASE jsonb_typeof(item)
        WHEN 'object' THEN coalesce(item ->> 'name', concat_ws('@', item ->> 'user', item ->> 'host'))
        ELSE item #>> '{}' END
    FROM jsonb_array_elements(CASE jsonb_typeof(list) WHEN 'array' THEN list ELSE '[]' END) AS item
$$;
