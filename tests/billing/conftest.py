"""A registry of its own for each test, with servers and migrations in it, on the registry tests' PostgreSQL."""

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from include.registry.schema import upgrade
from tests.billing.facts import fill
from tests.registry.cluster import binaries, cluster

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Connection string of a cluster whose database `template` has twelve servers and no price, lease or zone."""
    if binaries() is None:
        pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
    with cluster() as dsn:
        with psycopg.connect(f"{dsn} dbname=postgres", autocommit=True) as conn:
            conn.execute("CREATE DATABASE template")
        upgrade(f"{dsn} dbname=template")
        with psycopg.connect(f"{dsn} dbname=template") as conn:
            fill(conn, 12)
        with psycopg.connect(f"{dsn} dbname=postgres", autocommit=True) as conn:
            conn.execute("CREATE DATABASE shared TEMPLATE template")
        yield dsn


@pytest.fixture
def conn(postgresql: str) -> Iterator[psycopg.Connection]:
    """A connection in a transaction that is never committed: quicker than a registry of the test's own."""
    with psycopg.connect(f"{postgresql} dbname=shared") as connection:
        connection.execute("SELECT 1")
        yield connection
        connection.rollback()


@pytest.fixture
def dsn(postgresql: str) -> str:
    """Connection string of a registry of the test's own, for what has to commit."""
    name = f"registry{next(_numbers)}"
    with psycopg.connect(f"{postgresql} dbname=postgres", autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template")
    return f"{postgresql} dbname={name}"
