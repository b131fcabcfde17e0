-- The version of an entry's kind that a server runs: its infrastructure, or the release of an engine; '' is unknown.
CREATE OR REPLACE FUNCTION version_of(infrastructure text, versions jsonb, kind text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(CASE kind
        WHEN 'infrastructure' THEN infrastructure
        ELSE (
            SELECT array_to_string((string_to_array(versions ->> e.name, '.'))[:e.release_numbers], '.')
            FROM engines e WHERE e.name = kind
        )
    END, '')
$$;
