"""The registry's schema: Alembic revisions of the tables in `versions/`, what is in force on them in `functions/` and
`views/` (see in_force.py), the states of states.py, and the engines. `upgrade` brings all of it up to date."""

from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool

from include.agent.account.engines import DECLARED
from include.registry.database import certain
from include.registry.schema import in_force
from include.registry.states import MACHINES

# Any number: two upgrades at once take turns on it.
_UPGRADE_LOCK = 7_203_100


def upgrade(dsn: str) -> None:
    """Bring the database at the libpq connection string `dsn` to the newest schema, in one transaction.
    Can be repeated; two at once take turns."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=pool.NullPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    newest = ScriptDirectory.from_config(config).get_current_head()
    with engine.begin() as connection:
        conn: psycopg.Connection[Any] = certain(connection.connection.driver_connection)
        conn.execute("SELECT pg_advisory_xact_lock(%s)", [_UPGRADE_LOCK])
        if MigrationContext.configure(connection).get_current_revision() != newest:
            in_force.take_down(conn)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        in_force.put_up(conn)
        _load_states(conn)
        _load_engines(conn)


def _load_engines(conn: psycopg.Connection[Any]) -> None:
    """Make the table `engines` say what the code's list does; what history refers to stays."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO engines VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET release_numbers = excluded.release_numbers",
            [(engine.name, engine.release) for engine in DECLARED],
        )


def _load_states(conn: psycopg.Connection[Any]) -> None:
    """Make the tables `states` and `transitions` equal to states.py."""
    states = [(m.subject, s.name, s.initial, s.sentence) for m in MACHINES for s in m.states]
    transitions = [(m.subject, t.source, t.target, t.reason) for m in MACHINES for t in m.transitions]
    conn.execute("DELETE FROM transitions")
    conn.execute("DELETE FROM states")
    with conn.cursor() as cursor:
        cursor.executemany("INSERT INTO states VALUES (%s, %s, %s, %s)", states)
        cursor.executemany("INSERT INTO transitions VALUES (%s, %s, %s, %s)", transitions)
