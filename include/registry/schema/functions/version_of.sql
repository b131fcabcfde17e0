-- The version of an entry's kind that a server runs: its infrastructure, or the major of an engine; '' is unknown.
CREATE OR REPLACE FUNCTION version_of(infrastructure text, versions jsonb, kind text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(CASE kind
        WHEN 'infrastructure' THEN infrastructure
        WHEN 'postgresql' THEN split_part(versions ->> 'postgresql', '.', 1)
        WHEN 'mariadb' THEN substring(versions ->> 'mariadb' FROM '^[0-9]+\.[0-9]+')
    END, '')
$$;
