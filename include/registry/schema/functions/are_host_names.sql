CREATE OR REPLACE FUNCTION are_host_names(names text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(bool_and(
        name IS NOT NULL AND length(name) <= 253
        AND name ~ '^([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'
    ), true) FROM unnest(names) AS name
$$;
