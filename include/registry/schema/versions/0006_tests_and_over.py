"""Tests, the gate, and moves to another server for good: of shared accounts, and of one engine's databases.

Lock order: the account first, then the turn on which servers are chosen. Whoever begins a test or a move locks the
account before it looks for what speaks against it, and takes the turn before it counts what a server has, so two that
begin at once see each other.
"""

from include.registry.schema.plain import run

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = r"""
ALTER TABLE catalogue RENAME COLUMN from_infrastructure TO from_version;
ALTER TABLE catalogue RENAME COLUMN to_infrastructure TO to_version;
ALTER TABLE catalogue
    ADD COLUMN title text,
    ADD COLUMN mandatory boolean NOT NULL DEFAULT false,
    -- days in the host's billing zone
    ADD COLUMN opens date,
    ADD COLUMN deadline date,
    ADD CONSTRAINT catalogue_title CHECK (title <> ''),
    ADD CONSTRAINT catalogue_dates CHECK (opens < deadline),
    ADD CONSTRAINT catalogue_mandatory CHECK (NOT mandatory OR deadline IS NOT NULL);
UPDATE catalogue SET title = name;
ALTER TABLE catalogue ALTER COLUMN title SET NOT NULL;

ALTER TABLE servers
    DROP CONSTRAINT servers_kind,
    ADD CONSTRAINT servers_kind CHECK (kind IN ('shared', 'dedicated', 'vps', 'transit', 'test', 'database')),
    DROP CONSTRAINT servers_reserved_is_transit,
    ADD CONSTRAINT servers_reserved_is_transit CHECK (kind = 'transit' OR reserved_for IS NULL);

-- Whose account it is, where its server has no customer.
ALTER TABLE accounts ADD COLUMN customer text CONSTRAINT accounts_customer CHECK (customer <> '');
CREATE INDEX accounts_customer_index ON accounts (customer);

ALTER TABLE migrations ADD COLUMN lift_gate_because text
    CONSTRAINT migrations_gate_reason CHECK (btrim(lift_gate_because) <> '');

-- An engine's databases that do not live where their account does.
CREATE TABLE account_engines (
    account text NOT NULL REFERENCES accounts,
    engine text NOT NULL CONSTRAINT account_engines_engine CHECK (engine IN ('postgresql', 'mariadb')),
    server text NOT NULL REFERENCES servers,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, engine)
);
CREATE INDEX account_engines_server ON account_engines (server);

CREATE TABLE tests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL REFERENCES accounts,
    entry text NOT NULL REFERENCES catalogue,
    server text NOT NULL REFERENCES servers,
    epoch bigint NOT NULL,
    run_id text NOT NULL UNIQUE,
    requested_by text NOT NULL,
    state text NOT NULL,
    state_since timestamptz NOT NULL DEFAULT now(),
    -- site domain: the name under the test domain that answers for it
    names jsonb NOT NULL DEFAULT '{}',
    expires_at timestamptz,
    report jsonb,
    blockers integer,
    warnings integer,
    failure text,
    began_at timestamptz NOT NULL DEFAULT now(),
    tested_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT tests_ready_expires CHECK (state <> 'ready' OR expires_at IS NOT NULL),
    CONSTRAINT tests_report CHECK (num_nonnulls(report, blockers, warnings, tested_at) IN (0, 4)),
    CONSTRAINT tests_counts CHECK (blockers >= 0 AND warnings >= 0)
);
CREATE UNIQUE INDEX one_live_test_an_account ON tests (account) WHERE state <> 'removed';
CREATE INDEX tests_account ON tests (account, entry, tested_at);
CREATE INDEX tests_server ON tests (server) WHERE state <> 'removed';

ALTER TABLE moves
    ALTER COLUMN migration DROP NOT NULL,
    ADD COLUMN entry text REFERENCES catalogue,
    ADD COLUMN engine text CONSTRAINT moves_engine CHECK (engine IN ('postgresql', 'mariadb')),
    ADD COLUMN lift_gate_because text CONSTRAINT moves_gate_reason CHECK (btrim(lift_gate_because) <> ''),
    DROP CONSTRAINT moves_direction,
    ADD CONSTRAINT moves_direction CHECK (direction IN ('out', 'home', 'over')),
    ADD CONSTRAINT moves_over CHECK (
        CASE direction
            WHEN 'over' THEN migration IS NULL AND entry IS NOT NULL AND original = from_server
            ELSE migration IS NOT NULL AND num_nonnulls(entry, engine, lift_gate_because) = 0
        END
    );
DROP INDEX one_live_move_a_server;
CREATE UNIQUE INDEX one_live_move_a_server ON moves (original)
    WHERE state NOT IN ('done', 'returned') AND direction <> 'over';
CREATE INDEX moves_account ON moves (account);
CREATE INDEX moves_over_from ON moves (from_server) WHERE state NOT IN ('done', 'returned') AND direction = 'over';
CREATE INDEX moves_over_to ON moves (to_server) WHERE state NOT IN ('done', 'returned') AND direction = 'over';
"""

FACTS = r"""
-- Of how many over moves a server may be the source or the target at a time.
CREATE FUNCTION most_moves_a_server() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 2';

-- The version of an entry's kind that a server runs: its infrastructure, or the major of an engine; '' is unknown.
CREATE FUNCTION version_of(infrastructure text, versions jsonb, kind text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(CASE kind
        WHEN 'infrastructure' THEN infrastructure
        WHEN 'postgresql' THEN split_part(versions ->> 'postgresql', '.', 1)
        WHEN 'mariadb' THEN substring(versions ->> 'mariadb' FROM '^[0-9]+\.[0-9]+')
    END, '')
$$;

CREATE FUNCTION server_runs(server_ text, kind_ text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT version_of(infrastructure, versions, kind_) FROM servers WHERE name = server_
$$;

-- What serves an account runs: of an engine, where that engine's databases are.
CREATE FUNCTION account_runs(account_ text, kind_ text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT version_of(s.infrastructure, s.versions, kind_)
    FROM accounts a
        LEFT JOIN account_engines e ON e.account = a.name AND e.engine = kind_
        JOIN servers s ON s.name = coalesce(e.server, a.server)
    WHERE a.name = account_
$$;

-- How much of an account an entry of this kind moves, in bytes, as its server told it last.
CREATE FUNCTION account_bytes(description jsonb, kind text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (
        CASE kind WHEN 'infrastructure' THEN coalesce((description ->> 'home_bytes')::bigint, 0) ELSE 0 END
        + coalesce((
            SELECT sum((d ->> 'bytes')::bigint)
            FROM unnest(ARRAY['postgresql', 'mariadb']) AS engine,
                jsonb_array_elements(coalesce(description -> engine -> 'databases', '[]')) AS d
            WHERE kind IN ('infrastructure', engine)
        ), 0)
    )::bigint
$$;

-- Whose data is on a server: accounts, single engines' databases, test copies.
CREATE FUNCTION who_is_on(server_ text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT who FROM (
        SELECT name AS who FROM accounts WHERE server = server_ AND removed_at IS NULL
        UNION ALL
        SELECT format('%s''s %s databases', account, engine) FROM account_engines WHERE server = server_
        UNION ALL
        SELECT format('a test copy of %s', account) FROM tests WHERE server = server_ AND state <> 'removed'
    ) w ORDER BY who
$$;
CREATE OR REPLACE FUNCTION living_on(server_ text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(who, ', ') FROM who_is_on(server_) AS who
$$;

-- Why accounts may not be performed through an entry yet: one sentence each.
CREATE FUNCTION untested(accounts_ text[], entry_ text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN t.blockers IS NULL THEN format('Account %s has not been tested for %s: test it.', a, entry_)
        ELSE format('The test of account %s for %s found %s: correct it and test again.', a, entry_,
            CASE t.blockers WHEN 1 THEN 'a blocker' ELSE t.blockers || ' blockers' END)
        END
    FROM unnest(accounts_) AS a LEFT JOIN LATERAL (
        SELECT blockers FROM tests
        WHERE account = a AND entry = entry_ AND tested_at IS NOT NULL ORDER BY tested_at DESC, id DESC LIMIT 1
    ) t ON true
    WHERE coalesce(t.blockers, 1) > 0
    ORDER BY a
$$;
CREATE FUNCTION refuse_untested(accounts_ text[], entry_ text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    why text[] := ARRAY(SELECT untested(accounts_, entry_));
BEGIN
    IF cardinality(why) > 0 THEN
        PERFORM refuse(array_to_string(why[1:5], ' ')
            || CASE WHEN cardinality(why) > 5 THEN format(' And %s accounts more.', cardinality(why) - 5) ELSE '' END);
    END IF;
END $$;

-- An account that has left some of its databases to another server is moved no further by us.
CREATE FUNCTION refuse_split(account_ text, kind_ text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    away account_engines;
BEGIN
    SELECT * INTO away FROM account_engines
    WHERE account = account_ AND kind_ IN ('infrastructure', engine) ORDER BY engine LIMIT 1;
    IF FOUND THEN
        PERFORM refuse(format('The %s databases of account %s live on %s: this entry cannot take them from there.',
            away.engine, account_, away.server));
    END IF;
END $$;
"""

GUARDS = r"""
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON tests
    FOR EACH ROW EXECUTE FUNCTION check_transition('test');
CREATE TRIGGER keep BEFORE DELETE ON tests FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE DELETE ON catalogue FOR EACH ROW EXECUTE FUNCTION keep();

-- What has begun through an entry goes on to the version that it began for.
CREATE FUNCTION check_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.name, NEW.kind, NEW.from_version, NEW.to_version)
        IS DISTINCT FROM (OLD.name, OLD.kind, OLD.from_version, OLD.to_version)
        AND (
            EXISTS (SELECT FROM migrations WHERE entry = OLD.name)
            OR EXISTS (SELECT FROM tests WHERE entry = OLD.name)
            OR EXISTS (SELECT FROM moves WHERE entry = OLD.name)
        )
    THEN
        PERFORM refuse(format('Catalogue entry %s has been used: give other versions a name of their own.', OLD.name));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER b_facts BEFORE UPDATE ON catalogue FOR EACH ROW EXECUTE FUNCTION check_entry();

CREATE FUNCTION check_migration_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT kind FROM catalogue WHERE name = NEW.entry) <> 'infrastructure' THEN
        PERFORM refuse(format('Entry %s changes one engine only: a dedicated server or VPS goes through an entry of '
            'the whole infrastructure.', NEW.entry));
    END IF;
    IF NEW.lift_gate_because IS NULL THEN
        PERFORM refuse_untested(
            ARRAY(SELECT name FROM accounts WHERE home_server = NEW.server AND removed_at IS NULL), NEW.entry
        );
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER b_gate BEFORE INSERT ON migrations FOR EACH ROW EXECUTE FUNCTION check_migration_begins();

CREATE FUNCTION check_test() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF EXISTS (SELECT FROM moves WHERE account = NEW.account AND state NOT IN ('done', 'returned')) THEN
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
    RETURN NEW;
END $$;
CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON tests FOR EACH ROW EXECUTE FUNCTION check_test();

CREATE FUNCTION check_engine() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE FUNCTION check_home() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    home servers;
BEGIN
    SELECT * INTO home FROM servers WHERE name = NEW.home_server;
    IF home.kind IN ('transit', 'test', 'database') THEN
        PERFORM refuse(format('%s is a %s: an account''s home is a shared, dedicated or VPS server.', home.name,
            CASE home.kind WHEN 'transit' THEN home.kind ELSE home.kind || ' server' END));
    END IF;
    IF home.customer <> NEW.customer THEN
        PERFORM refuse(format('Server %s of account %s is customer %s''s: its accounts are too.',
            home.name, NEW.name, home.customer));
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER c_home ON accounts;
CREATE TRIGGER c_home BEFORE INSERT OR UPDATE OF home_server, customer ON accounts
    FOR EACH ROW EXECUTE FUNCTION check_home();
"""

MOVES = r"""
CREATE OR REPLACE FUNCTION check_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    account_ accounts;
    migration_ migrations;
    other text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.account, NEW.migration, NEW.entry, NEW.engine, NEW.original, NEW.from_server, NEW.to_server,
                NEW.direction)
            IS DISTINCT FROM
            (OLD.account, OLD.migration, OLD.entry, OLD.engine, OLD.original, OLD.from_server, OLD.to_server,
                OLD.direction)
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
    IF NEW.epoch <> account_.epoch THEN
        PERFORM refuse(format('A move of account %s takes its newest epoch, %s: %s was refused.',
            NEW.account, account_.epoch, NEW.epoch));
    END IF;
    IF EXISTS (SELECT FROM moves WHERE account = NEW.account AND state NOT IN ('done', 'returned')
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
        SELECT account INTO other FROM moves
        WHERE original = NEW.original AND direction <> 'over' AND state NOT IN ('done', 'returned')
            AND id IS DISTINCT FROM NEW.id LIMIT 1;
        IF FOUND THEN
            PERFORM refuse(format('Account %s of %s is being moved: wait until that move has ended.',
                other, NEW.original));
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- What speaks against an account's leaving its server for good, wherever to.
CREATE FUNCTION check_leaves(account_ text, entry_name text, lift_gate_because text) RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
    entry_ catalogue;
    source servers;
BEGIN
    SELECT * INTO entry_ FROM catalogue WHERE name = entry_name;
    SELECT s.* INTO source FROM servers s JOIN accounts a ON a.server = s.name WHERE a.name = account_;
    IF source.kind <> 'shared' THEN
        PERFORM refuse(format('Account %s lives on %s, a %s server: it is performed in that server''s migration.',
            account_, source.name, source.kind));
    END IF;
    PERFORM refuse_split(account_, entry_.kind);
    IF version_of(source.infrastructure, source.versions, entry_.kind) <> entry_.from_version THEN
        PERFORM refuse(format('Server %s runs %s %s, but %s starts from %s: choose another entry of the catalogue.',
            source.name, entry_.kind, version_of(source.infrastructure, source.versions, entry_.kind), entry_.name,
            entry_.from_version));
    END IF;
    IF lift_gate_because IS NULL THEN
        PERFORM refuse_untested(ARRAY[account_], entry_.name);
    END IF;
END $$;

CREATE FUNCTION check_over(move_ moves) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    entry_ catalogue;
    target servers;
    other text;
BEGIN
    SELECT * INTO entry_ FROM catalogue WHERE name = move_.entry;
    IF move_.engine IS DISTINCT FROM nullif(entry_.kind, 'infrastructure') THEN
        PERFORM refuse(format('Entry %s is one of %s: a move of %s was refused.', entry_.name, entry_.kind,
            coalesce(move_.engine, 'the whole account')));
    END IF;
    PERFORM check_leaves(move_.account, move_.entry, move_.lift_gate_because);
    PERFORM pg_advisory_xact_lock(7203102);
    SELECT * INTO target FROM servers WHERE name = move_.to_server;
    IF target.kind <> (CASE entry_.kind WHEN 'infrastructure' THEN 'shared' ELSE 'database' END)
        OR target.state <> 'serving'
    THEN
        PERFORM refuse(format('%s is a %s server and %s: %s goes to a %s server that serves.', target.name, target.kind,
            target.state, entry_.name, CASE entry_.kind WHEN 'infrastructure' THEN 'shared' ELSE 'database' END));
    END IF;
    IF version_of(target.infrastructure, target.versions, entry_.kind) <> entry_.to_version
        OR target.host_key IS NULL
    THEN
        PERFORM refuse(format('Server %s is not enrolled with %s %s: choose one that is.',
            target.name, entry_.kind, entry_.to_version));
    END IF;
    SELECT s.name INTO other FROM servers s
    WHERE s.name IN (move_.from_server, move_.to_server) AND most_moves_a_server() <= (
        SELECT count(*) FROM moves m
        WHERE s.name IN (m.from_server, m.to_server) AND m.direction = 'over' AND m.state NOT IN ('done', 'returned')
            AND m.id IS DISTINCT FROM move_.id
    ) ORDER BY s.name LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Server % takes part in % moves, the most at a time: wait until one has ended.',
            other, most_moves_a_server() USING ERRCODE = 'TH002';
    END IF;
END $$;

-- The registry's commit: from the same transaction on the account, or what of it was moved, lives elsewhere. One that
-- has moved over belongs there, and its names lead there when nothing moves.
CREATE OR REPLACE FUNCTION commit_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.engine IS NOT NULL THEN
        INSERT INTO account_engines (account, engine, server) VALUES (NEW.account, NEW.engine, NEW.to_server);
    ELSIF NEW.direction = 'over' THEN
        UPDATE accounts SET server = NEW.to_server, home_server = NEW.to_server WHERE name = NEW.account;
        UPDATE names n SET address = i.address
        FROM (
            SELECT DISTINCT ON (family(address)) family(address) AS family, address
            FROM ips WHERE home_server = NEW.to_server ORDER BY family(address), address
        ) i
        WHERE n.account = NEW.account AND family(n.address) = i.family
            AND n.address IN (SELECT address FROM ips WHERE home_server = NEW.from_server);
    ELSE
        UPDATE accounts SET server = NEW.to_server WHERE name = NEW.account;
    END IF;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    run(TABLES)
    run(FACTS)
    run(GUARDS)
    run(ACCOUNTS)
    run(MOVES)
