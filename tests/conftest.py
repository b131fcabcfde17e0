"""What tests of every folder share: one PostgreSQL a run."""

from collections.abc import Iterator

import pytest

from include.registry.schema import upgrade
from tests.support.postgres import binaries, cluster, create


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Connection string of a cluster whose database `template` has the registry's newest schema."""
    if binaries() is None:
        pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
    with cluster() as server:
        upgrade(create(server, "template"))
        yield server
