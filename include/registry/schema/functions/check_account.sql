CREATE OR REPLACE FUNCTION check_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    on_ servers;
    lent boolean;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.epoch < OLD.epoch THEN
            PERFORM refuse(format('The epoch of account %s is %s and only grows: %s was refused.',
                NEW.name, OLD.epoch, NEW.epoch));
        END IF;
        IF NEW.server <> OLD.server AND NOT EXISTS (
            SELECT FROM moves WHERE account = NEW.name AND from_server = OLD.server AND to_server = NEW.server
                AND engine IS NULL AND state = 'committed'
        ) AND NOT EXISTS (
            SELECT FROM live_migrations WHERE server = NEW.server AND transit = OLD.server
                AND taken_back_because IS NOT NULL
        ) THEN
            PERFORM refuse(format('Account %s lives on %s until a move commits: move it to %s.',
                NEW.name, OLD.server, NEW.server));
        END IF;
        IF NEW.home_server <> OLD.home_server THEN
            IF EXISTS (
                SELECT FROM live_migrations WHERE server IN (NEW.home_server, OLD.home_server)
            ) THEN
                PERFORM refuse(format('The home of account %s cannot change while its server is migrated: wait.',
                    NEW.name));
            END IF;
            IF NOT EXISTS (
                SELECT FROM moves WHERE account = NEW.name AND direction = 'over' AND engine IS NULL
                    AND from_server = OLD.home_server AND to_server = NEW.home_server AND state = 'committed'
            ) THEN
                PERFORM refuse(format('Account %s belongs to %s until it is moved over to another server: move it.',
                    NEW.name, OLD.home_server));
            END IF;
        END IF;
        IF NEW.removed_at IS NOT NULL AND OLD.removed_at IS NULL AND EXISTS (
            SELECT FROM live_moves WHERE account = NEW.name
        ) THEN
            PERFORM refuse(format('Account %s is being moved: remove it when the move has ended.', NEW.name));
        END IF;
    END IF;
    IF NEW.removed_at IS NULL
        AND (TG_OP = 'INSERT' OR NEW.server <> OLD.server OR OLD.removed_at IS NOT NULL)
    THEN
        -- The locks make a migration's and a server's state wait for this account, or this account for them.
        PERFORM FROM live_migrations WHERE transit = NEW.server AND server = NEW.home_server FOR SHARE;
        lent := FOUND;
        SELECT * INTO on_ FROM servers WHERE name = NEW.server FOR SHARE;
        IF on_.state NOT IN ('serving', 'handed_over') THEN
            PERFORM refuse(format('Server %s is %s: no account can live on it.', on_.name, on_.state));
        END IF;
        IF on_.kind = 'transit' AND NOT lent THEN
            PERFORM refuse(format('Transit %s is not lent to server %s: account %s cannot live on it.',
                on_.name, NEW.home_server, NEW.name));
        END IF;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION check_account();
