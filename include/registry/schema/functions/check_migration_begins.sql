CREATE OR REPLACE FUNCTION check_migration_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT kind FROM catalogue WHERE name = NEW.entry) <> 'infrastructure' THEN
        PERFORM refuse(format('Entry %s changes one engine only: a dedicated server or VPS goes through an entry of '
            'the whole infrastructure.', NEW.entry));
    END IF;
    IF NEW.lift_gate_because IS NULL THEN
        PERFORM refuse_untested(
            ARRAY(SELECT name FROM accounts WHERE home_server = NEW.server AND removed_at IS NULL), NEW.entry
        );
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_gate BEFORE INSERT ON migrations FOR EACH ROW EXECUTE FUNCTION check_migration_begins();
