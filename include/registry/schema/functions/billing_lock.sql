-- One writer at a time: ids are in the order of commits, so a reader that remembers the last id misses nothing.
CREATE OR REPLACE FUNCTION billing_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7203002);
    RETURN NULL;
END $$;

CREATE TRIGGER one_writer BEFORE INSERT ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION billing_lock();
