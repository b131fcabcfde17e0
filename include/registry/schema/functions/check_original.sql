CREATE OR REPLACE FUNCTION check_original() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A shared server has no migration of its own: its accounts leave it one by one, and then it is finished.
    IF NEW.state <> OLD.state AND NEW.state = 'reinstalling' AND NEW.kind = 'shared' AND EXISTS (
        SELECT FROM live_moves WHERE NEW.name IN (from_server, to_server)
    ) THEN
        PERFORM refuse(format('Server %s takes part in moves: wait until they have ended.', NEW.name));
    END IF;
    IF NEW.state <> OLD.state AND NEW.state = 'reinstalling' AND NEW.kind <> 'shared' AND NOT EXISTS (
        SELECT FROM migrations WHERE server = NEW.name AND state = 'reinstalling'
    ) THEN
        PERFORM refuse(format('Server %s has no migration that reinstalls it: bring its migration there.',
            NEW.name));
    END IF;
    IF NEW.state <> OLD.state AND NEW.state = 'free' AND EXISTS (
        SELECT FROM transit_requests WHERE transit = NEW.name AND state = 'assigned'
    ) THEN
        PERFORM refuse(format('Transit %s is still assigned: end that request first.', NEW.name));
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER c_migration BEFORE UPDATE ON servers FOR EACH ROW EXECUTE FUNCTION check_original();
