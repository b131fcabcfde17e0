-- What a server is (not how it stands) changes when nothing is under way with it, and it goes when nobody needs it.
CREATE OR REPLACE FUNCTION check_inventory() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who text;
BEGIN
    IF TG_OP = 'INSERT' OR NEW.plan <> OLD.plan OR OLD.state = 'removed' THEN
        PERFORM FROM plans WHERE name = NEW.plan AND withdrawn_at IS NOT NULL FOR SHARE;
        IF FOUND THEN
            PERFORM refuse(format('Plan %s was withdrawn: offer it again, or give server %s another.',
                NEW.plan, NEW.name));
        END IF;
    END IF;
    IF TG_OP = 'INSERT' THEN
        RETURN NEW;
    END IF;
    IF OLD.state = 'removed' THEN
        RETURN NEW;  -- the name is given to another machine
    END IF;
    IF NEW.kind <> OLD.kind THEN
        PERFORM refuse(format('Server %s is a %s, which does not change: remove it, or give the new one another name.',
            NEW.name, OLD.kind));
    END IF;
    who := under_way(NEW.name);
    -- A site that nobody has said before may be said at any time: the server is not moved by that.
    IF who IS NOT NULL AND (NEW.state = 'removed' OR NEW.site <> OLD.site OR NEW.site IS NULL AND OLD.site IS NOT NULL
        OR (NEW.plan, NEW.customer, NEW.management_address, NEW.lan_address, NEW.lan_address6)
            IS DISTINCT FROM
            (OLD.plan, OLD.customer, OLD.management_address, OLD.lan_address, OLD.lan_address6))
    THEN
        PERFORM refuse(format('Server %s takes part in %s: change or remove it when that has ended.', NEW.name, who));
    END IF;
    IF NEW.customer <> OLD.customer THEN
        SELECT string_agg(name, ', ' ORDER BY name) INTO who FROM accounts
        WHERE home_server = NEW.name AND removed_at IS NULL AND customer <> NEW.customer;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Accounts of server %s are another customer''s (%s): it cannot become %s''s.',
                NEW.name, who, NEW.customer));
        END IF;
    END IF;
    IF NEW.state = 'removed' AND NEW.kind = 'transit' AND OLD.state <> 'free' THEN
        PERFORM refuse(format('Transit %s is %s: remove it when it is free.', NEW.name, OLD.state));
    END IF;
    IF NEW.state = 'removed' THEN
        SELECT string_agg(w, ', ' ORDER BY w) INTO who FROM (
            SELECT who_is_on(NEW.name) AS w
            UNION SELECT name FROM accounts WHERE home_server = NEW.name AND removed_at IS NULL
        ) w;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Accounts live on server %s (%s): move them before it is removed.', NEW.name, who));
        END IF;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER d_inventory BEFORE INSERT OR UPDATE ON servers FOR EACH ROW EXECUTE FUNCTION check_inventory();
