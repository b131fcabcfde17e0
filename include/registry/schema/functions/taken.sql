-- What an account would bring to a server, or its databases of one engine, that another one there has already: one
-- sentence each. `kind_` is the catalogue's: the whole infrastructure, or an engine.
CREATE OR REPLACE FUNCTION taken(account_ text, server_ text, kind_ text) RETURNS SETOF text LANGUAGE sql STABLE
-- Nobody knows how many names a description has: without this the planner takes it for millions, and compiles.
SET jit = off AS $$
    WITH own AS (SELECT * FROM accounts WHERE name = account_),
    there AS (
        SELECT a.* FROM accounts a WHERE a.server = server_ AND a.removed_at IS NULL
        UNION
        SELECT a.* FROM live_tests t JOIN accounts a ON a.name = t.account WHERE t.server = server_
        UNION
        SELECT a.* FROM account_engines e JOIN accounts a ON a.name = e.account
        WHERE e.server = server_ AND e.engine = kind_
    ),
    others AS (SELECT * FROM there WHERE name <> account_),
    kinds AS (SELECT name FROM engines WHERE kind_ IN ('infrastructure', name)),
    named_of_own AS (
        SELECT e.name AS engine, lists.list, named
        FROM own, kinds e, jsonb_each(own.description -> e.name) AS lists (list, content), names_in(content) AS named
    ),
    named_of_others AS (
        SELECT o.name AS whose, e.name AS engine, lists.list, named
        FROM others o, kinds e, jsonb_each(o.description -> e.name) AS lists (list, content), names_in(content) AS named
    ),
    -- the name or number itself, as two accounts' or as one that is nobody's account there
    held AS (
        SELECT 'its login is ' || o.login AS what, o.name AS whose FROM own JOIN others o ON o.login = own.login
        WHERE kind_ = 'infrastructure'
        UNION ALL
        SELECT 'its uid is ' || (own.stated ->> 'uid'), o.name FROM own
        JOIN others o ON o.stated ->> 'uid' = own.stated ->> 'uid'
        WHERE kind_ = 'infrastructure'
        UNION ALL
        SELECT format('it has the %s %s %s', mine.engine, mine.list, mine.named), theirs.whose
        FROM named_of_own mine JOIN named_of_others theirs USING (engine, list, named)
        UNION ALL
        SELECT 'its login is ' || own.login, NULL FROM own, servers s
        WHERE s.name = server_ AND kind_ = 'infrastructure' AND s.description -> 'unclaimed' -> 'users' ? own.login
        UNION ALL
        SELECT format('it has the %s databases %s', e.name, named), NULL
        FROM own, servers s, kinds e, names_in(own.description -> e.name -> 'databases') AS named
        WHERE s.name = server_ AND s.description -> 'unclaimed' -> e.name ? named
    )
    SELECT CASE WHEN whose IS NULL THEN format('%s, which is on %s already and no account''s', what, server_)
        ELSE format('%s, which on %s is %s''s', what, server_, whose) END
    FROM held ORDER BY 1
$$;
