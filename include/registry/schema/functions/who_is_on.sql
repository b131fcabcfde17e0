-- Whose data is on a server: accounts, single engines' databases, test copies.
CREATE OR REPLACE FUNCTION who_is_on(server_ text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT who FROM (
        SELECT name AS who FROM accounts WHERE server = server_ AND removed_at IS NULL
        UNION ALL
        SELECT format('%s''s %s databases', account, engine) FROM account_engines WHERE server = server_
        UNION ALL
        SELECT format('a test copy of %s', account) FROM live_tests WHERE server = server_
    ) w ORDER BY who
$$;
