-- How much of an account an entry of this kind moves, in bytes, as its server told it last.
CREATE OR REPLACE FUNCTION account_bytes(description jsonb, kind text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (
        CASE kind WHEN 'infrastructure' THEN coalesce((description ->> 'home_bytes')::bigint, 0) ELSE 0 END
        + coalesce((
            SELECT sum((d ->> 'bytes')::bigint)
            FROM engines, jsonb_array_elements(coalesce(description -> engines.name -> 'databases', '[]')) AS d
            WHERE kind IN ('infrastructure', engines.name)
        ), 0)
    )::bigint
$$;
