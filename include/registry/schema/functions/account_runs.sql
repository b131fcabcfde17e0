-- What serves an account runs: of an engine, where that engine's databases are.
CREATE OR REPLACE FUNCTION account_runs(account_ text, kind_ text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT version_of(s.infrastructure, s.versions, kind_)
    FROM accounts a
        LEFT JOIN account_engines e ON e.account = a.name AND e.engine = kind_
        JOIN servers s ON s.name = coalesce(e.server, a.server)
    WHERE a.name = account_
$$;
