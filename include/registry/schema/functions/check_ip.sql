CREATE OR REPLACE FUNCTION check_ip() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    state_ text;
BEGIN
    SELECT state INTO state_ FROM servers WHERE name = NEW.routed_to FOR SHARE;
    IF state_ IS NULL THEN
        RETURN NEW;  -- the foreign key refuses
    END IF;
    IF state_ = 'removed' THEN
        PERFORM refuse(format('Server %s was removed: add it again before IP %s.', NEW.routed_to, host(NEW.address)));
    END IF;
    IF NEW.routed_to <> NEW.home_server AND NOT EXISTS (
        SELECT FROM migrations WHERE server = NEW.home_server AND transit = NEW.routed_to
            AND state IN ('accounts_moved', 'rerouted')
    ) AND (TG_OP = 'INSERT' OR NEW.routed_to <> OLD.routed_to OR NEW.home_server <> OLD.home_server) THEN
        PERFORM refuse(format('IP %s of %s cannot be routed to %s: only to the transit of its migration, and '
            'only when every account lives there.', host(NEW.address), NEW.home_server, NEW.routed_to));
    END IF;
    IF state_ = 'reinstalling' THEN
        PERFORM refuse(format('Server %s is being reinstalled: route IP %s to it afterwards.',
            NEW.routed_to, host(NEW.address)));
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.routed_to = NEW.home_server AND OLD.routed_to <> NEW.routed_to AND EXISTS (
        SELECT FROM migrations WHERE server = NEW.home_server AND state IN ('original_empty', 'reinstalled')
            AND taken_back_because IS NULL
    ) THEN
        PERFORM refuse(format('IP %s comes home when every account of %s has moved back: move them first.',
            host(NEW.address), NEW.home_server));
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON ips FOR EACH ROW EXECUTE FUNCTION check_ip();
