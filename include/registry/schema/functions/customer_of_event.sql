-- Whose an event is, as it is when it is written: an account that changes hands later takes no history along.
CREATE OR REPLACE FUNCTION customer_of_event(account_ text, migration_ bigint, server_ text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (
            SELECT coalesce(s.customer, a.customer) FROM accounts a JOIN servers s ON s.name = a.home_server
            WHERE a.name = account_
        ),
        (SELECT s.customer FROM migrations m JOIN servers s ON s.name = m.server WHERE m.id = migration_),
        (SELECT customer FROM servers WHERE name = server_)
    )
$$;
