"""What the database refuses by itself of migrations, leases and moves, and what a commit changes at once."""

from include.registry.schema.plain import run

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MIGRATIONS = r"""
CREATE FUNCTION check_migration() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who text;
BEGIN
    IF NEW.server <> OLD.server OR NEW.run_id <> OLD.run_id OR NEW.transit IS DISTINCT FROM OLD.transit
        AND OLD.transit IS NOT NULL
    THEN
        PERFORM refuse(format('Migration %s keeps its server, its run and its transit: begin another.',
            NEW.id));
    END IF;
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    CASE
    WHEN NEW.state = 'handed_over' THEN
        IF NOT EXISTS (SELECT FROM leases WHERE migration = NEW.id AND ended_at IS NULL) THEN
            PERFORM refuse(format('Migration %s has no lease: hand its transit over.', NEW.id));
        END IF;
        IF NOT EXISTS (SELECT FROM servers WHERE name = NEW.transit AND host_key IS NOT NULL
            AND infrastructure = NEW.to_infrastructure)
        THEN
            PERFORM refuse(format('Transit %s is not enrolled with infrastructure %s: install and enrol it '
                'before it is handed over.', NEW.transit, NEW.to_infrastructure));
        END IF;
    WHEN NEW.state IN ('accounts_moved', 'original_empty', 'reinstalling') THEN
        who := living_on(NEW.server);
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Accounts live on %s (%s): move them before the migration is %s.',
                NEW.server, who, NEW.state));
        END IF;
    WHEN NEW.state = 'rerouted' THEN
        SELECT string_agg(host(address), ', ' ORDER BY address) INTO who
        FROM ips WHERE home_server = NEW.server AND routed_to <> NEW.transit;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('IPs of %s are not routed to %s yet (%s): reroute them.',
                NEW.server, NEW.transit, who));
        END IF;
    WHEN NEW.state = 'reinstalled' THEN
        IF NOT EXISTS (SELECT FROM servers WHERE name = NEW.server AND infrastructure = NEW.to_infrastructure)
        THEN
            PERFORM refuse(format('Server %s is not enrolled with infrastructure %s: enrol it first.',
                NEW.server, NEW.to_infrastructure));
        END IF;
    WHEN NEW.state = 'accounts_home' THEN
        who := living_on(NEW.transit);
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Accounts live on transit %s (%s): move them home first.',
                NEW.transit, who));
        END IF;
    WHEN NEW.state = 'home' THEN
        SELECT string_agg(host(address), ', ' ORDER BY address) INTO who
        FROM ips WHERE home_server = NEW.server AND routed_to <> NEW.server;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('IPs of %s are not home yet (%s): route them back.', NEW.server, who));
        END IF;
        SELECT string_agg(n.fqdn, ', ' ORDER BY n.fqdn) INTO who
        FROM names n JOIN accounts a ON a.name = n.account
        WHERE a.home_server = NEW.server AND a.removed_at IS NULL AND n.points_at <> n.address;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Names of %s are not home yet (%s): point them back.', NEW.server, who));
        END IF;
    WHEN NEW.state = 'done' THEN
        IF NOT EXISTS (SELECT FROM leases WHERE migration = NEW.id AND ended_at IS NOT NULL) THEN
            PERFORM refuse(format('Transit %s of migration %s is not back in the pool: wipe and return it.',
                NEW.transit, NEW.id));
        END IF;
    WHEN NEW.state IN ('failed', 'cancelled') THEN
        SELECT format('account %s was performed at %s', account,
            to_char(committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')) INTO who
        FROM moves WHERE migration = NEW.id AND committed_at IS NOT NULL ORDER BY committed_at LIMIT 1;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Migration %s can no longer be given up, because %s: perform the other '
                'accounts, and all of them come home by themselves.', NEW.id, who));
        END IF;
        who := living_on(NEW.transit);
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Migration %s can no longer be given up, because accounts live on its transit '
                '%s (%s): perform the other accounts, and all of them come home by themselves.',
                NEW.id, NEW.transit, who));
        END IF;
        SELECT account INTO who FROM moves
        WHERE migration = NEW.id AND state NOT IN ('done', 'returned') LIMIT 1;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Account %s is being moved: give migration %s up when that has ended.',
                who, NEW.id));
        END IF;
    ELSE
    END CASE;
    RETURN NEW;
END $$;
CREATE TRIGGER b_facts BEFORE UPDATE ON migrations FOR EACH ROW EXECUTE FUNCTION check_migration();

-- What a migration's state means for its original, its request and its lease.
CREATE FUNCTION follow_migration() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER follow AFTER UPDATE ON migrations FOR EACH ROW
    WHEN (NEW.state <> OLD.state) EXECUTE FUNCTION follow_migration();

CREATE FUNCTION check_original() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND NEW.state = 'reinstalling' AND NOT EXISTS (
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

CREATE FUNCTION check_request() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- What billing has counted from stays as it was.
CREATE FUNCTION check_lease() RETURNS trigger LANGUAGE plpgsql AS $$
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
"""

MOVES = r"""
CREATE FUNCTION check_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    account_ accounts;
    migration_ migrations;
    other text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.account, NEW.migration, NEW.original, NEW.from_server, NEW.to_server, NEW.direction)
            IS DISTINCT FROM
            (OLD.account, OLD.migration, OLD.original, OLD.from_server, OLD.to_server, OLD.direction)
            OR NEW.run_id <> OLD.run_id
        THEN
            PERFORM refuse(format('Move m%s keeps its account and its servers: begin another move.', NEW.id));
        END IF;
        IF NEW.epoch < OLD.epoch THEN
            PERFORM refuse(format('The epoch of move m%s only grows: %s was refused.', NEW.id, NEW.epoch));
        END IF;
        IF NEW.state = OLD.state THEN
            RETURN NEW;
        END IF;
        IF NEW.state = 'committed' THEN
            NEW.committed_at := now();
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
    SELECT * INTO migration_ FROM migrations WHERE id = NEW.migration FOR UPDATE;
    SELECT * INTO account_ FROM accounts WHERE name = NEW.account FOR UPDATE;
    IF account_.removed_at IS NOT NULL THEN
        PERFORM refuse(format('Account %s was removed: there is nothing to move.', NEW.account));
    END IF;
    IF account_.home_server <> migration_.server OR NEW.original <> migration_.server THEN
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
    IF NEW.epoch <> account_.epoch THEN
        PERFORM refuse(format('A move of account %s takes its newest epoch, %s: %s was refused.',
            NEW.account, account_.epoch, NEW.epoch));
    END IF;
    IF NEW.direction = 'out' THEN
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
    ELSE
        IF NEW.to_server <> migration_.server OR NEW.from_server IS DISTINCT FROM migration_.transit THEN
            PERFORM refuse(format('Account %s moves back from %s to %s only: give that server.',
                NEW.account, coalesce(migration_.transit, 'a transit'), migration_.server));
        ELSIF migration_.state NOT IN ('reinstalled', 'accounts_home', 'home') THEN
            PERFORM refuse(format('Server %s is not reinstalled yet (its migration is %s): accounts move '
                'back afterwards.', migration_.server, migration_.state));
        END IF;
    END IF;
    SELECT account INTO other FROM moves
    WHERE original = NEW.original AND state NOT IN ('done', 'returned') AND id IS DISTINCT FROM NEW.id
    ORDER BY account = NEW.account DESC LIMIT 1;
    IF other = NEW.account THEN
        PERFORM refuse(format('Account %s is being moved already: wait until that move has ended.', other));
    ELSIF other IS NOT NULL THEN
        PERFORM refuse(format('Account %s of %s is being moved: wait until that move has ended.',
            other, NEW.original));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON moves FOR EACH ROW EXECUTE FUNCTION check_move();

-- The registry's commit: the account lives elsewhere from the same transaction on.
CREATE FUNCTION commit_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE accounts SET server = NEW.to_server WHERE name = NEW.account;
    RETURN NULL;
END $$;
CREATE TRIGGER commit AFTER UPDATE ON moves FOR EACH ROW
    WHEN (NEW.state = 'committed' AND OLD.state <> 'committed') EXECUTE FUNCTION commit_move();
"""


def upgrade() -> None:
    run(MIGRATIONS)
    run(MOVES)
