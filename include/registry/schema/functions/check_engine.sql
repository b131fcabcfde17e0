CREATE OR REPLACE FUNCTION check_engine() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM moves WHERE account = NEW.account AND engine = NEW.engine AND to_server = NEW.server
            AND state = 'committed'
    ) THEN
        PERFORM refuse(format('The %s databases of account %s live with it until a move commits: move them to %s.',
            NEW.engine, NEW.account, NEW.server));
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON account_engines FOR EACH ROW EXECUTE FUNCTION check_engine();
