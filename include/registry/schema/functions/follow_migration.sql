-- What a migration's state means for its original, its request and its lease.
CREATE OR REPLACE FUNCTION follow_migration() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE
    WHEN NEW.state = 'reinstalling' THEN
        UPDATE servers SET state = 'reinstalling' WHERE name = NEW.server;
    WHEN NEW.state = 'reinstalled' THEN
        UPDATE servers SET state = 'serving' WHERE name = NEW.server;
    WHEN NEW.state IN ('failed', 'cancelled') THEN
        UPDATE transit_requests SET state = 'cancelled' WHERE migration = NEW.id AND state = 'waiting';
        UPDATE leases SET ended_at = greatest(now(), handed_over_at)
        WHERE migration = NEW.id AND ended_at IS NULL;
    ELSE
    END CASE;
    RETURN NULL;
END $$;

CREATE TRIGGER follow AFTER UPDATE ON migrations
    FOR EACH ROW WHEN (new.state <> old.state) EXECUTE FUNCTION follow_migration();
