CREATE OR REPLACE FUNCTION check_server() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who text;
    migration_ bigint;
BEGIN
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF NEW.state IN ('reinstalling', 'wiped', 'assigned') THEN
        who := living_on(NEW.name);
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Accounts live on %s (%s): move them before it becomes %s.',
                NEW.name, who, NEW.state));
        END IF;
        SELECT string_agg(host(address), ', ' ORDER BY address) INTO who
        FROM ips WHERE routed_to = NEW.name AND (
            -- A customer's own are at the transit by now; those of a shared server stay.
            home_server <> NEW.name OR (NEW.state = 'reinstalling' AND NEW.kind <> 'shared')
        );
        IF who IS NOT NULL THEN
            PERFORM refuse(format('IPs are routed to %s (%s): route them elsewhere before it becomes %s.',
                NEW.name, who, NEW.state));
        END IF;
    END IF;
    IF NEW.state = 'wiped' THEN
        SELECT id INTO migration_ FROM migrations
        WHERE transit = NEW.name AND state NOT IN ('home', 'done', 'failed', 'cancelled');
        IF FOUND THEN
            PERFORM refuse(format('Migration %s still needs %s: wipe it when IPs and names are home.',
                migration_, NEW.name));
        END IF;
        NEW.host_key := NULL;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE UPDATE ON servers FOR EACH ROW EXECUTE FUNCTION check_server();
