CREATE OR REPLACE FUNCTION check_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'returned_to_pool' AND OLD.state <> NEW.state AND NOT EXISTS (
        SELECT FROM servers WHERE name = NEW.transit AND state = 'wiped'
    ) THEN
        PERFORM refuse(format('Transit %s is not wiped: wipe it before it goes back to the pool.',
            NEW.transit));
    END IF;
    IF OLD.transit IS NOT NULL AND NEW.transit IS DISTINCT FROM OLD.transit THEN
        PERFORM refuse(format('Request %s keeps transit %s: cancel its migration to give it up.',
            NEW.id, OLD.transit));
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE UPDATE ON transit_requests FOR EACH ROW EXECUTE FUNCTION check_request();
