CREATE OR REPLACE FUNCTION check_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    account_ accounts;
    migration_ migrations;
    other text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.key, NEW.account, NEW.migration, NEW.entry, NEW.engine, NEW.original, NEW.from_server, NEW.to_server,
                NEW.direction)
            IS DISTINCT FROM
            (OLD.key, OLD.account, OLD.migration, OLD.entry, OLD.engine, OLD.original, OLD.from_server, OLD.to_server,
                OLD.direction)
            OR NEW.run_id <> OLD.run_id
        THEN
            PERFORM refuse(format('Move %s keeps its account and its servers: begin another move.', OLD.key));
        END IF;
        IF NEW.epoch < OLD.epoch THEN
            PERFORM refuse(format('The epoch of move %s only grows: %s was refused.', NEW.key, NEW.epoch));
        END IF;
        IF NEW.state = OLD.state THEN
            RETURN NEW;
        END IF;
        IF NEW.state = 'committed' THEN
            -- The source's word, as far as it can be true: registry and Airflow may have been down for a day since.
            NEW.committed_at := greatest(NEW.began_at, least(now(), coalesce(NEW.committed_at, now())));
        ELSIF NEW.state IN ('done', 'returned') THEN
            NEW.ended_at := now();
        ELSIF NEW.state = 'preparing' THEN
            NEW.ended_at := NULL;
        END IF;
        IF NEW.state <> 'preparing' THEN
            RETURN NEW;
        END IF;
    END IF;

    -- The move begins, or begins again.
    IF NEW.migration IS NOT NULL THEN
        SELECT * INTO migration_ FROM migrations WHERE id = NEW.migration FOR UPDATE;
    END IF;
    SELECT * INTO account_ FROM accounts WHERE name = NEW.account FOR UPDATE;
    IF account_.removed_at IS NOT NULL THEN
        PERFORM refuse(format('Account %s was removed: there is nothing to move.', NEW.account));
    END IF;
    IF NEW.migration IS NOT NULL
        AND (account_.home_server <> migration_.server OR NEW.original <> migration_.server)
    THEN
        PERFORM refuse(format('Account %s belongs to %s, not to %s: move it in its own migration.',
            NEW.account, account_.home_server, migration_.server));
    END IF;
    IF account_.server = NEW.to_server THEN
        PERFORM refuse(format('Account %s lives on %s already: there is nothing to move.',
            NEW.account, NEW.to_server));
    END IF;
    IF account_.server <> NEW.from_server THEN
        PERFORM refuse(format('Account %s lives on %s, not on %s: move it from there.',
            NEW.account, account_.server, NEW.from_server));
    END IF;
    IF NEW.engine IS NULL THEN
        PERFORM check_layout(NEW.account, NEW.from_server, NEW.to_server);
    END IF;
    IF NEW.epoch <> account_.epoch THEN
        PERFORM refuse(format('A move of account %s takes its newest epoch, %s: %s was refused.',
            NEW.account, account_.epoch, NEW.epoch));
    END IF;
    IF EXISTS (SELECT FROM live_moves WHERE account = NEW.account
        AND id IS DISTINCT FROM NEW.id)
    THEN
        PERFORM refuse(format('Account %s is being moved already: wait until that move has ended.', NEW.account));
    END IF;
    IF EXISTS (SELECT FROM tests WHERE account = NEW.account AND state IN ('preparing', 'copying')) THEN
        PERFORM refuse(format('Account %s is being copied for a test: move it when that has ended.', NEW.account));
    END IF;
    CASE NEW.direction
    WHEN 'out' THEN
        IF migration_.transit IS NULL
            OR migration_.state IN ('checking', 'waiting_for_transit', 'installing_transit')
        THEN
            PERFORM refuse(format('The transit for %s is not handed over yet: wait for the hand-over.',
                migration_.server));
        ELSIF NEW.to_server <> migration_.transit THEN
            PERFORM refuse(format('Account %s can be performed to %s only: give that server.',
                NEW.account, migration_.transit));
        ELSIF migration_.state NOT IN ('handed_over', 'accounts_moved', 'rerouted', 'original_empty') THEN
            PERFORM refuse(format('The migration of %s is %s: accounts no longer move out.',
                migration_.server, migration_.state));
        END IF;
    WHEN 'home' THEN
        IF NEW.to_server <> migration_.server OR NEW.from_server IS DISTINCT FROM migration_.transit THEN
            PERFORM refuse(format('Account %s moves back from %s to %s only: give that server.',
                NEW.account, coalesce(migration_.transit, 'a transit'), migration_.server));
        ELSIF migration_.state NOT IN ('reinstalled', 'accounts_home', 'home') THEN
            PERFORM refuse(format('Server %s is not reinstalled yet (its migration is %s): accounts move '
                'back afterwards.', migration_.server, migration_.state));
        END IF;
    WHEN 'over' THEN
        PERFORM check_over(NEW);
    ELSE  -- the constraint refuses
    END CASE;
    IF NEW.direction <> 'over' THEN
        SELECT account INTO other FROM live_moves
        WHERE original = NEW.original AND direction <> 'over'
            AND id IS DISTINCT FROM NEW.id LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'Account % of % is being moved: wait until that move has ended.', other, NEW.original
                USING ERRCODE = 'TH002';
        END IF;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON moves FOR EACH ROW EXECUTE FUNCTION check_move();
