-- Ids are given before they are committed, so a younger event can be seen before an older one. Whoever writes holds a
-- lock that tells from which id on it writes; up to the lowest of them nothing can appear any more (events_settled).
-- Before the statement, and so before its first id is given. Once a transaction: the setting goes when the lock goes.
CREATE OR REPLACE FUNCTION writes_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('transhumance.writes_events', true), '') = '' THEN
        PERFORM pg_advisory_xact_lock_shared((7203103::bigint << 40) | last_event());
        PERFORM set_config('transhumance.writes_events', 'yes', true);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER a_writes BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION writes_events();
