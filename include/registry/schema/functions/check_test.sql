CREATE OR REPLACE FUNCTION check_test() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    account_ accounts;
    entry_ catalogue;
    server_ servers;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.account, NEW.entry, NEW.run_id) IS DISTINCT FROM (OLD.account, OLD.entry, OLD.run_id)
            OR NEW.server <> OLD.server AND NEW.state <> 'preparing'
        THEN
            PERFORM refuse(format('Test t%s keeps its account, its entry and its server: begin another test.', NEW.id));
        END IF;
        IF NEW.epoch < OLD.epoch THEN
            PERFORM refuse(format('The epoch of test t%s only grows: %s was refused.', NEW.id, NEW.epoch));
        END IF;
        IF NEW.state = OLD.state THEN
            RETURN NEW;
        END IF;
        IF NEW.state = 'removed' THEN
            NEW.ended_at := now();
        END IF;
        IF NEW.state <> 'preparing' THEN
            RETURN NEW;
        END IF;
        NEW.ended_at := NULL;
    END IF;

    -- The test begins, or begins again.
    SELECT * INTO account_ FROM accounts WHERE name = NEW.account FOR UPDATE;
    IF account_.removed_at IS NOT NULL THEN
        PERFORM refuse(format('Account %s was removed: there is nothing to test.', NEW.account));
    END IF;
    IF NEW.epoch <> account_.epoch THEN
        PERFORM refuse(format('A test of account %s takes its newest epoch, %s: %s was refused.',
            NEW.account, account_.epoch, NEW.epoch));
    END IF;
    IF EXISTS (SELECT FROM live_moves WHERE account = NEW.account) THEN
        PERFORM refuse(format('Account %s is being moved: test it when the move has ended.', NEW.account));
    END IF;
    SELECT * INTO entry_ FROM catalogue WHERE name = NEW.entry;
    PERFORM refuse_split(NEW.account, entry_.kind);
    IF account_runs(NEW.account, entry_.kind) <> entry_.from_version THEN
        PERFORM refuse(format('Account %s runs on %s %s, but %s starts from %s: choose another entry of the catalogue.',
            NEW.account, entry_.kind, account_runs(NEW.account, entry_.kind), NEW.entry, entry_.from_version));
    END IF;
    SELECT * INTO server_ FROM servers WHERE name = NEW.server FOR SHARE;
    IF server_.kind <> 'test' THEN
        PERFORM refuse(format('%s is no test server: a test copy is put on a test server only.', NEW.server));
    END IF;
    IF server_runs(NEW.server, entry_.kind) <> entry_.to_version THEN
        PERFORM refuse(format('Test server %s does not run %s %s: choose one that does.',
            NEW.server, entry_.kind, entry_.to_version));
    END IF;
    PERFORM check_layout(NEW.account, account_.server, NEW.server);
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON tests FOR EACH ROW EXECUTE FUNCTION check_test();
