"""Events: whose each one is, up to which id the log is complete, who has read it how far, and a call to who listens.

Ids are given before they are committed, so a younger one can be seen before an older one. Whoever writes holds a lock
that tells from which id on it writes; up to the lowest of them nothing can appear any more.
"""

from include.registry.schema.plain import run

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

CUSTOMERS = r"""
ALTER TABLE events ADD COLUMN customer text;

-- Whose an event is, as it is when it is written: an account that changes hands later takes no history along.
CREATE FUNCTION customer_of_event(account_ text, migration_ bigint, server_ text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (
            SELECT coalesce(s.customer, a.customer) FROM accounts a JOIN servers s ON s.name = a.home_server
            WHERE a.name = account_
        ),
        (SELECT s.customer FROM migrations m JOIN servers s ON s.name = m.server WHERE m.id = migration_),
        (SELECT customer FROM servers WHERE name = server_)
    )
$$;
ALTER TABLE events DISABLE TRIGGER append_only;
UPDATE events SET customer = customer_of_event(account, migration, server);
ALTER TABLE events ENABLE TRIGGER append_only;
CREATE INDEX events_customer ON events (customer, id);

CREATE FUNCTION tell_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.customer := customer_of_event(NEW.account, NEW.migration, NEW.server);
    RETURN NEW;
END $$;
CREATE TRIGGER b_customer BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION tell_customer();
"""

ORDER = r"""
CREATE FUNCTION last_event() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM events_id_seq
$$;

-- Before the statement, and so before its first id is given. Once a transaction: the setting goes when the lock goes.
CREATE FUNCTION writes_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('transhumance.writes_events', true), '') = '' THEN
        PERFORM pg_advisory_xact_lock_shared((7203103::bigint << 40) | last_event());
        PERFORM set_config('transhumance.writes_events', 'yes', true);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER a_writes BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION writes_events();

-- No event with an id up to this one can appear any more. The order matters: a writer that comes after the first line
-- gets a later id, one that came before it is seen by the second. What is read afterwards, by a statement of its own,
-- is complete.
CREATE FUNCTION events_settled() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    given bigint := last_event();
    writing bigint;
BEGIN
    SELECT min(((classid::bigint << 32) | objid::bigint) & ((1::bigint << 40) - 1)) INTO writing
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND ((classid::bigint << 32) | objid::bigint) >> 40 = 7203103;
    RETURN least(given, writing);
END $$;

CREATE FUNCTION call_listeners() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('events', '');
    RETURN NULL;
END $$;
CREATE TRIGGER z_call AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION call_listeners();

-- How far a reader has come, such as the one that announces events to the host's own system.
CREATE TABLE event_cursors (
    name text PRIMARY KEY CONSTRAINT event_cursors_name CHECK (name ~ '^[a-z0-9_.-]{1,64}$'),
    last_event bigint NOT NULL CONSTRAINT event_cursors_last_event CHECK (last_event >= 0)
);
"""


def upgrade() -> None:
    run(CUSTOMERS)
    run(ORDER)
