"""A registry of its own for each test, with servers and migrations in it, on the registry tests' PostgreSQL."""

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from tests.billing.facts import fill
from tests.support.postgres import create

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def farm(postgresql: str) -> str:
    """The cluster, whose database `farm` has twelve servers and no price, lease or zone; `shared` is a copy."""
    with psycopg.connect(create(postgresql, "farm", "template")) as conn:
        fill(conn, 12)
    create(postgresql, "shared", "farm")
    return postgresql


@pytest.fixture
def conn(farm: str) -> Iterator[psycopg.Connection]:
    """A connection in a transaction that is never committed: quicker than a registry of the test's own."""
    with psycopg.connect(f"{farm} dbname=shared") as connection:
        connection.execute("SELECT 1")
        yield connection
        connection.rollback()


@pytest.fixture
def dsn(farm: str) -> str:
    """Connection string of a registry of the test's own, for what has to commit."""
    return create(farm, f"billing{next(_numbers)}", "farm")
