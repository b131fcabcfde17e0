-- Why accounts may not be performed through an entry yet: one sentence each.
CREATE OR REPLACE FUNCTION untested(accounts_ text[], entry_ text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN t.blockers IS NULL THEN format('Account %s has not been tested for %s: test it.', a, entry_)
        ELSE format('The test of account %s for %s found %s: correct it and test again.', a, entry_,
            CASE t.blockers WHEN 1 THEN 'a blocker' ELSE t.blockers || ' blockers' END)
        END
    FROM unnest(accounts_) AS a LEFT JOIN LATERAL (
        SELECT blockers FROM tests
        WHERE account = a AND entry = entry_ AND tested_at IS NOT NULL ORDER BY tested_at DESC, id DESC LIMIT 1
    ) t ON true
    WHERE coalesce(t.blockers, 1) > 0
    ORDER BY a
$$;
