-- What billing has counted from stays as it was.
CREATE OR REPLACE FUNCTION check_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.migration, NEW.transit, NEW.server, NEW.plan, NEW.handed_over_at)
        IS DISTINCT FROM (OLD.migration, OLD.transit, OLD.server, OLD.plan, OLD.handed_over_at)
        OR NEW.last_account_left_at IS DISTINCT FROM OLD.last_account_left_at
            AND OLD.last_account_left_at IS NOT NULL
        OR NEW.ended_at IS DISTINCT FROM OLD.ended_at AND OLD.ended_at IS NOT NULL
    THEN
        PERFORM refuse(format('What lease %s says of its time stays: settle it with a correction.', NEW.id));
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE UPDATE ON leases FOR EACH ROW EXECUTE FUNCTION check_lease();
