"""SQL as it is written: `op.execute` would take ':word' for a parameter, and one statement at a time."""

from typing import Any

import psycopg
from alembic import op

from include.registry.database import certain
from include.registry.schema import in_force


def run(sql: str) -> None:
    """Run statements in the revision's transaction."""
    _connection().execute(sql.encode())


def function(name: str) -> None:
    """Make a function that the revision's tables stand on, from its file."""
    in_force.make_function(_connection(), in_force.files("functions")[name])


def _connection() -> psycopg.Connection[Any]:
    driver: psycopg.Connection[Any] = certain(op.get_bind().connection.driver_connection)
    return driver
