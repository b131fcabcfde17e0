"""Never only one copy: the disk that an original had is kept until its accounts are home, and a way leads back from a
transit that died."""

from include.registry.schema.plain import run

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

KEPT = r"""
ALTER TABLE migrations
    -- what the machines call the disk that the original had before it was reinstalled, and when it went
    ADD COLUMN disk_kept text,
    ADD COLUMN disk_discarded_at timestamptz,
    -- why ops took the accounts back from the transit
    ADD COLUMN taken_back_because text CONSTRAINT migrations_taken_back CHECK (btrim(taken_back_because) <> ''),
    ADD CONSTRAINT migrations_disk CHECK (disk_discarded_at IS NULL OR disk_kept IS NOT NULL);
"""

MIGRATIONS = r"""
CREATE OR REPLACE FUNCTION check_migration() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who text;
BEGIN
    IF NEW.server <> OLD.server OR NEW.run_id <> OLD.run_id OR NEW.transit IS DISTINCT FROM OLD.transit
        AND OLD.transit IS NOT NULL
    THEN
        PERFORM refuse(format('The migration of %s keeps its server, its run and its transit: begin another.',
            OLD.server));
    END IF;
    IF OLD.disk_kept IS NOT NULL AND NEW.disk_kept IS DISTINCT FROM OLD.disk_kept THEN
        PERFORM refuse(format('The kept disk of %s keeps its name: it is found by it.', NEW.server));
    END IF;
    IF NEW.disk_discarded_at IS DISTINCT FROM OLD.disk_discarded_at
        AND NEW.state NOT IN ('accounts_home', 'home', 'done')
    THEN
        PERFORM refuse(format('The disk that %s had before is kept until every account is home (its migration is %s).',
            NEW.server, NEW.state));
    END IF;
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF NEW.state = 'reinstalling' THEN
        NEW.disk_kept := format('kept-%s', left(replace(gen_random_uuid()::text, '-', ''), 12));
    END IF;
    CASE
    WHEN NEW.state = 'handed_over' THEN
        IF NOT EXISTS (SELECT FROM leases WHERE migration = NEW.id AND ended_at IS NULL) THEN
            PERFORM refuse(format('The migration of %s has no lease: hand its transit over.', NEW.server));
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
        WHERE a.home_server = NEW.server AND a.removed_at IS NULL AND n.points_at <> n.address
            AND n.left_because IS NULL;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Names of %s are not home yet (%s): point them back.', NEW.server, who));
        END IF;
    WHEN NEW.state = 'done' THEN
        IF NOT EXISTS (SELECT FROM leases WHERE migration = NEW.id AND ended_at IS NOT NULL) THEN
            PERFORM refuse(format('Transit %s of server %s is not back in the pool: wipe and return it.',
                NEW.transit, NEW.server));
        END IF;
    WHEN NEW.state IN ('failed', 'cancelled') THEN
        SELECT string_agg(host(address), ', ' ORDER BY address) INTO who
        FROM ips WHERE home_server = NEW.server AND routed_to <> NEW.server;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('IPs of %s are not home (%s): route them back before its migration is given up.',
                NEW.server, who));
        END IF;
        SELECT format('account %s was performed at %s', account,
            to_char(committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')) INTO who
        FROM moves WHERE migration = NEW.id AND committed_at IS NOT NULL ORDER BY committed_at LIMIT 1;
        IF who IS NOT NULL AND NEW.taken_back_because IS NULL THEN
            PERFORM refuse(format('The migration of %s can no longer be given up, because %s: perform the other '
                'accounts, and all of them come home by themselves.', NEW.server, who));
        END IF;
        who := living_on(NEW.transit);
        IF who IS NOT NULL THEN
            PERFORM refuse(format('The migration of %s can no longer be given up, because accounts live on its transit '
                '%s (%s): perform the other accounts, and all of them come home by themselves.',
                NEW.server, NEW.transit, who));
        END IF;
        SELECT account INTO who FROM moves
        WHERE migration = NEW.id AND state NOT IN ('done', 'returned') LIMIT 1;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Account %s is being moved: give the migration of %s up when that has ended.',
                who, NEW.server));
        END IF;
    ELSE
    END CASE;
    RETURN NEW;
END $$;
"""

ACCOUNTS = r"""
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
            SELECT FROM migrations WHERE server = NEW.server AND transit = OLD.server
                AND taken_back_because IS NOT NULL AND state NOT IN ('done', 'failed', 'cancelled')
        ) THEN
            PERFORM refuse(format('Account %s lives on %s until a move commits: move it to %s.',
                NEW.name, OLD.server, NEW.server));
        END IF;
        IF NEW.home_server <> OLD.home_server THEN
            IF EXISTS (
                SELECT FROM migrations WHERE server IN (NEW.home_server, OLD.home_server)
                    AND state NOT IN ('done', 'failed', 'cancelled')
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
            SELECT FROM moves WHERE account = NEW.name AND state NOT IN ('done', 'returned')
        ) THEN
            PERFORM refuse(format('Account %s is being moved: remove it when the move has ended.', NEW.name));
        END IF;
    END IF;
    IF NEW.removed_at IS NULL
        AND (TG_OP = 'INSERT' OR NEW.server <> OLD.server OR OLD.removed_at IS NOT NULL)
    THEN
        -- The locks make a migration's and a server's state wait for this account, or this account for them.
        PERFORM FROM migrations WHERE transit = NEW.server AND server = NEW.home_server
            AND state NOT IN ('done', 'failed', 'cancelled') FOR SHARE;
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
"""

# IPs come home from a transit that died as they are.
IPS = r"""
DO $$
DECLARE
    was text := pg_get_functiondef('check_ip'::regproc);
    rule text := 'state IN (''original_empty'', ''reinstalled'')';
BEGIN
    ASSERT strpos(was, rule) > 0;
    EXECUTE replace(was, rule, rule || ' AND taken_back_because IS NULL');
END $$;
"""


def upgrade() -> None:
    run(KEPT)
    run(MIGRATIONS)
    run(ACCOUNTS)
    run(IPS)
