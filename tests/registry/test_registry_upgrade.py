"""A registry that is in use is brought up to date with what it holds."""

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, pool

from include import registry
from include.registry import schema
from tests.postgres import create
from tests.registry import host

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


def at(dsn: str, revision: str) -> None:
    """Bring a database to one revision."""
    config = Config()
    config.set_main_option("script_location", schema.__path__[0])
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=pool.NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_registry_of_the_first_five_versions(postgresql):
    dsn = create(postgresql, "in_use")
    at(dsn, "0005")
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
