"""What the database refuses by itself: undeclared transitions, and facts that a state needs.

Every refusal has SQLSTATE TH001 and one sentence. A trigger's first letter is its turn: PostgreSQL fires
triggers in the order of their names, and a transition that is not declared is refused before its facts are
looked at.
"""

from include.registry.schema.plain import run

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TRANSITIONS = r"""
CREATE FUNCTION refuse(sentence text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', sentence USING ERRCODE = 'TH001';
END $$;

CREATE FUNCTION check_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    subject_ text := TG_ARGV[0];
    allowed text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (
            SELECT FROM states s WHERE s.subject = subject_ AND s.state = NEW.state AND s.initial
        ) THEN
            SELECT string_agg(state, ' or ' ORDER BY state) INTO allowed
            FROM states s WHERE s.subject = subject_ AND s.initial;
            PERFORM refuse(format('A %s cannot begin as %s: it begins as %s.',
                subject_, coalesce(NEW.state, 'nothing'), allowed));
        END IF;
    ELSIF NEW.state IS DISTINCT FROM OLD.state THEN
        IF NOT EXISTS (
            SELECT FROM transitions t
            WHERE t.subject = subject_ AND t.source = OLD.state AND t.target = NEW.state
        ) THEN
            SELECT string_agg(target, ', ' ORDER BY target) INTO allowed
            FROM transitions t WHERE t.subject = subject_ AND t.source = OLD.state;
            PERFORM refuse(format('A %s cannot go from %s to %s: from there it can go %s.',
                subject_, OLD.state, coalesce(NEW.state, 'nothing'), coalesce('to ' || allowed, 'nowhere')));
        END IF;
        NEW.state_since := now();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON servers
    FOR EACH ROW EXECUTE FUNCTION check_transition('server');
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON migrations
    FOR EACH ROW EXECUTE FUNCTION check_transition('migration');
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON moves
    FOR EACH ROW EXECUTE FUNCTION check_transition('move');
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON transit_requests
    FOR EACH ROW EXECUTE FUNCTION check_transition('request');

CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse(format('Rows of %s are kept for ever: what is there cannot be %s.', TG_TABLE_NAME,
        CASE TG_OP WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END));
    RETURN NULL;
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE DELETE ON migrations FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE DELETE ON moves FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE DELETE ON leases FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE DELETE ON transit_requests FOR EACH ROW EXECUTE FUNCTION keep();

-- A price that has held is history; one that has not begun may still be corrected.
CREATE FUNCTION keep_past_prices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.valid_from <= current_date THEN
        PERFORM refuse(format('The price of plan %s from %s has been in force: add a price from a later day.',
            OLD.plan, OLD.valid_from));
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER keep_past BEFORE UPDATE OR DELETE ON plan_prices
    FOR EACH ROW EXECUTE FUNCTION keep_past_prices();
"""

SERVERS_AND_ACCOUNTS = r"""
CREATE FUNCTION living_on(server_ text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(name, ', ' ORDER BY name)
    FROM accounts WHERE server = server_ AND removed_at IS NULL
$$;

CREATE FUNCTION check_server() RETURNS trigger LANGUAGE plpgsql AS $$
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
        FROM ips WHERE routed_to = NEW.name AND (home_server <> NEW.name OR NEW.state = 'reinstalling');
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

CREATE FUNCTION check_account() RETURNS trigger LANGUAGE plpgsql AS $$
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
                AND state = 'committed'
        ) THEN
            PERFORM refuse(format('Account %s lives on %s until a move commits: move it to %s.',
                NEW.name, OLD.server, NEW.server));
        END IF;
        IF NEW.home_server <> OLD.home_server AND EXISTS (
            SELECT FROM migrations WHERE server IN (NEW.home_server, OLD.home_server)
                AND state NOT IN ('done', 'failed', 'cancelled')
        ) THEN
            PERFORM refuse(format('The home of account %s cannot change while its server is migrated: wait.',
                NEW.name));
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
CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION check_account();

CREATE FUNCTION check_home() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM servers WHERE name = NEW.home_server AND kind = 'transit') THEN
        PERFORM refuse(format('%s is a transit: an account''s home is a shared, dedicated or VPS server.',
            NEW.home_server));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER c_home BEFORE INSERT OR UPDATE OF home_server ON accounts
    FOR EACH ROW EXECUTE FUNCTION check_home();

CREATE FUNCTION check_ip() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    state_ text;
BEGIN
    SELECT state INTO state_ FROM servers WHERE name = NEW.routed_to FOR SHARE;
    IF state_ IS NULL THEN
        RETURN NEW;  -- the foreign key refuses
    END IF;
    IF NEW.routed_to <> NEW.home_server AND NOT EXISTS (
        SELECT FROM migrations WHERE server = NEW.home_server AND transit = NEW.routed_to
            AND state IN ('accounts_moved', 'rerouted')
    ) AND (TG_OP = 'INSERT' OR NEW.routed_to <> OLD.routed_to OR NEW.home_server <> OLD.home_server) THEN
        PERFORM refuse(format('IP %s of %s cannot be routed to %s: only to the transit of its migration, and '
            'only when every account lives there.', host(NEW.address), NEW.home_server, NEW.routed_to));
    END IF;
    IF state_ = 'reinstalling' THEN
        PERFORM refuse(format('Server %s is being reinstalled: route IP %s to it afterwards.',
            NEW.routed_to, host(NEW.address)));
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.routed_to = NEW.home_server AND OLD.routed_to <> NEW.routed_to AND EXISTS (
        SELECT FROM migrations WHERE server = NEW.home_server AND state IN ('original_empty', 'reinstalled')
    ) THEN
        PERFORM refuse(format('IP %s comes home when every account of %s has moved back: move them first.',
            host(NEW.address), NEW.home_server));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON ips FOR EACH ROW EXECUTE FUNCTION check_ip();
"""


def upgrade() -> None:
    run(TRANSITIONS)
    run(SERVERS_AND_ACCOUNTS)
