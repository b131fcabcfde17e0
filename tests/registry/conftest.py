"""A fresh registry a test, on a real PostgreSQL that is started once."""

import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest

from include.registry.schema import upgrade
from tests.registry.cluster import binaries, cluster

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Connection string of a cluster whose database `template` has the newest schema."""
    if binaries() is None:
        pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
    with cluster() as dsn:
        with psycopg.connect(f"{dsn} dbname=postgres", autocommit=True) as conn:
            conn.execute("CREATE DATABASE template")
        upgrade(f"{dsn} dbname=template")
        yield dsn


@pytest.fixture
def dsn(postgresql: str) -> str:
    """Connection string of a registry of the test's own."""
    name = f"registry{next(_numbers)}"
    with psycopg.connect(f"{postgresql} dbname=postgres", autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template")
    return f"{postgresql} dbname={name}"


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to the test's registry."""
    with psycopg.connect(dsn) as connection:
        yield connection


@pytest.fixture
def connect(dsn: str) -> Iterator[Callable[[], psycopg.Connection]]:
    """Further connections to the test's registry, closed at the end."""
    opened: list[psycopg.Connection] = []

    def another() -> psycopg.Connection:
        opened.append(psycopg.connect(dsn))
        return opened[-1]

    yield another
    for connection in opened:
        connection.close()
