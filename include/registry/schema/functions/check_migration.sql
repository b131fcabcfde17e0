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
        SELECT account INTO who FROM live_moves
        WHERE migration = NEW.id LIMIT 1;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Account %s is being moved: give the migration of %s up when that has ended.',
                who, NEW.server));
        END IF;
    ELSE
    END CASE;
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE UPDATE ON migrations FOR EACH ROW EXECUTE FUNCTION check_migration();
