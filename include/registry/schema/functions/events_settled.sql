-- No event with an id up to this one can appear any more. The order matters: a writer that comes after the first line
-- gets a later id, one that came before it is seen by the second. What is read afterwards, by a statement of its own,
-- is complete.
CREATE OR REPLACE FUNCTION events_settled() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    given bigint := last_event();
    writing bigint;
BEGIN
    SELECT min(((classid::bigint << 32) | objid::bigint) & ((1::bigint << 40) - 1)) INTO writing
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND ((classid::bigint << 32) | objid::bigint) >> 40 = 7203103;
    RETURN least(given, writing);
END $$;
