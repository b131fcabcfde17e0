"""What tests of every folder share: one PostgreSQL a process, and no clock for what Hypothesis makes up."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from include.agent.host.kept import Kept
from include.registry.schema import upgrade
from tests.support.postgres import cluster, create

# How long one example takes says how busy the machine is; whoever promises a time measures it in a test of its own.
settings.register_profile("of these tests", deadline=None)
settings.load_profile("of these tests")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Connection string of a cluster whose database `template` has the registry's newest schema."""
    with cluster() as server:
        upgrade(create(server, "template"))
        yield server


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    """A test is a run of the agent: what it keeps open ends with it."""
    with Kept():
        yield
