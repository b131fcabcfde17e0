"""A registry that is in use is brought up to date with what it holds."""

import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from include import registry
from include.registry import schema
from include.registry.schema import in_force
from tests.registry import host
from tests.support.postgres import binaries, create

OLDER = Path(__file__).parent / "older"
"""Registries as earlier versions made them: `pg_dump --no-owner --no-privileges` of an empty one, by its revision."""

IN_USE = """
INSERT INTO plans VALUES ('small', 2, 4, 8);
INSERT INTO servers (name, kind, plan, infrastructure, customer, management_address, lan_address, lan_address6, state,
    host_key)
VALUES ('vps-1', 'vps', 'small', '2022', 'acme', '10.20.0.1', '10.30.0.1', 'fd30::1', 'serving', NULL),
    ('web-1', 'shared', 'small', '2022', NULL, '10.20.0.3', '10.30.0.3', 'fd30::3', 'serving', NULL),
    ('transit-1', 'transit', 'small', '2026', NULL, '10.20.0.2', '10.30.0.2', 'fd30::2', 'free', 'ssh-ed25519 AAAA');
INSERT INTO catalogue VALUES ('2026', 'infrastructure', '2022', '2026');
INSERT INTO accounts (name, server, home_server) VALUES ('one', 'vps-1', 'vps-1'), ('two', 'web-1', 'web-1');
INSERT INTO migrations (server, entry, from_infrastructure, to_infrastructure, run_id, requested_by, state)
VALUES ('vps-1', '2026', '2022', '2026', 'run', 'ops', 'checking');
UPDATE migrations SET state = 'waiting_for_transit';
UPDATE servers SET state = 'assigned' WHERE name = 'transit-1';
UPDATE migrations SET state = 'installing_transit', transit = 'transit-1';
INSERT INTO leases (migration, transit, server, plan, handed_over_at, expected_end_at)
VALUES (1, 'transit-1', 'vps-1', 'small', now(), now());
UPDATE servers SET state = 'handed_over' WHERE name = 'transit-1';
UPDATE migrations SET state = 'handed_over';
INSERT INTO moves (account, migration, original, from_server, to_server, direction, epoch, run_id, requested_by, state)
VALUES ('one', 1, 'vps-1', 'vps-1', 'transit-1', 'out', 0, 'move', 'acme', 'preparing');
INSERT INTO events (kind, migration, account, server, move) VALUES ('move.began', 1, 'one', 'vps-1', 1),
    ('account.added', NULL, 'two', 'web-1', NULL), ('migration.began', 1, NULL, NULL, NULL);
"""


def restored(postgresql: str, name: str, revision: str) -> str:
    """A database as an earlier version made it; its connection string."""
    dsn = create(postgresql, name)
    psql = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", str(OLDER / f"{revision}.sql")]
    subprocess.run(psql, check=True, stdout=subprocess.DEVNULL)
    return dsn


def schema_of(dsn: str) -> list[str]:
    dump = subprocess.check_output(
        [registry.certain(binaries()) / "pg_dump", "--schema-only", f"--dbname={dsn}"], text=True
    )
    return [line for line in dump.splitlines() if not line.startswith("\\")]  # a random word, of newer pg_dumps


@pytest.mark.parametrize("revision", sorted(path.stem for path in OLDER.glob("*.sql")))
def test_older_registry_comes_to_the_schema_of_a_new_one(postgresql: str, dsn: str, revision: str) -> None:
    older = restored(postgresql, f"older_{revision}", revision)
    assert schema_of(older) != schema_of(dsn)
    schema.upgrade(older)
    assert schema_of(older) == schema_of(dsn)


def test_what_was_changed_by_hand_is_put_right(dsn: str, conn: psycopg.Connection) -> None:
    asked = schema_of(dsn)
    conn.execute("""
        CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
        DROP TRIGGER b_facts ON moves;
        CREATE TRIGGER b_facts BEFORE INSERT ON moves FOR EACH ROW EXECUTE FUNCTION check_move();
        CREATE TRIGGER z_mine BEFORE DELETE ON names FOR EACH ROW EXECUTE FUNCTION keep();
        CREATE OR REPLACE VIEW billing_zone_spans AS
            SELECT zone, '-infinity'::timestamptz AS begins, 'infinity'::timestamptz AS ends FROM billing_time_zones;
        CREATE VIEW mine AS SELECT * FROM billing_leases;
    """)
    conn.commit()
    assert schema_of(dsn) != asked
    schema.upgrade(dsn)
    assert schema_of(dsn) == asked


def test_upgrade_of_the_newest_waits_for_nobody_who_reads_or_writes(dsn: str, conn: psycopg.Connection) -> None:
    ((tables,),) = conn.execute(
        "SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'public'"
    ).fetchall()
    ((views,),) = conn.execute("SELECT string_agg(viewname, ', ') FROM pg_views WHERE schemaname = 'public'").fetchall()
    conn.execute(f"LOCK {tables} IN ROW EXCLUSIVE MODE")
    conn.execute(f"LOCK {views} IN ACCESS SHARE MODE")
    schema.upgrade(f"{dsn} options='-c lock_timeout=2s'")


def test_every_function_and_view_of_the_database_has_its_file(conn: psycopg.Connection) -> None:
    functions = conn.execute("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace").fetchall()
    assert sorted(name for (name,) in functions) == sorted(in_force.files("functions"))
    views = conn.execute("SELECT viewname FROM pg_views WHERE schemaname = 'public'").fetchall()
    assert sorted(name for (name,) in views) == sorted(in_force.files("views"))
    for name, text in (in_force.files("functions") | in_force.files("views")).items():
        assert re.findall(r"^CREATE (?:OR REPLACE FUNCTION|VIEW) (\w+)", text, re.MULTILINE) == [name]


def test_every_trigger_is_in_the_file_of_its_function(conn: psycopg.Connection) -> None:
    made = conn.execute("""
        SELECT proname, pg_get_triggerdef(t.oid, true) FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid
        WHERE NOT tgisinternal
    """).fetchall()
    assert made
    filed = {(name, each) for name, text in in_force.files("functions").items() for each in in_force.triggers(text)}
    assert filed == set(made), "write a trigger as PostgreSQL prints it, so that it is not made anew at every upgrade"
    guards = {name for name, text in in_force.files("functions").items() if "RETURNS trigger" in text}
    assert guards == {name for name, _ in made}, "a guard that no trigger calls"


def test_bodies_of_functions_fit_the_tables(conn: psycopg.Connection) -> None:
    conn.execute("SET check_function_bodies = on")
    for text in in_force.files("functions").values():
        conn.execute(text[: text.find("\nCREATE TRIGGER ")] if "\nCREATE TRIGGER " in text else text)


def test_registry_of_the_first_five_versions(postgresql: str) -> None:
    dsn = restored(postgresql, "in_use", "0005")
    with psycopg.connect(dsn) as conn:
        conn.execute(IN_USE)
        conn.commit()
        schema.upgrade(dsn)
        entry = registry.catalogue_entry(conn, "2026")
        assert (entry.title, entry.from_version, entry.to_version, entry.mandatory) == ("2026", "2022", "2026", False)
        assert [event.kind for event in registry.customers_events(conn, "acme")] == ["move.began", "migration.began"]
        for state in ("copying", "switching", "committed", "done"):
            registry.advance_move(conn, 1, state)
        assert registry.account(conn, "one").server == "transit-1", "what was under way goes on"
        with_title = registry.Entry("2026", "A new Debian", "infrastructure", "2022", "2026")
        assert registry.sync_catalogue(conn, [with_title]) == [with_title]
        assert registry.set_customer(conn, "two", "other").customer == "other"
        host.add_server(conn, "test-1", "test", 41)
