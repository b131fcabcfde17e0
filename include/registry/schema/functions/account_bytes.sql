-- How much of an account an entry of this kind moves, in bytes, as its server told it last.
CREATE OR REPLACE FUNCTION account_bytes(description jsonb, kind text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (
        CASE kind WHEN 'infrastructure' THEN coalesce((description ->> 'home_bytes')::bigint, 0) ELSE 0 END
        + coalesce((
            SELECT sum((d ->> 'bytes')::bigint)
            FROM unnest(ARRAY['postgresql', 'mariadb']) AS engine,
                jsonb_array_elements(coalesce(description -> engine -> 'databases', '[]')) AS d
            WHERE kind IN ('infrastructure', engine)
        ), 0)
    )::bigint
$$;
