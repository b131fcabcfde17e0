"""The lab for tests: `lab` brings it up if it is not, and hands out servers.

The test process itself steps into th-ops, the namespace that operators work from, so that SSH, DNS and HTTP
from a test go where Airflow's would.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.stage import enter
from lab import __main__ as lab_cli
from lab import topology
from tests.lab.handles import Lab, Running

if TYPE_CHECKING:
    from tests.lab.airflow_lab import Farm


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab, brought up without any server if it is not up; it stays up for the next run."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.fail("Lab tests need root on Linux: run `sudo make test`, or `make test-unit` without.", False)
    ours = not lab_cli.status()
    if ours:
        lab_cli.up(first=None)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        enter(f"/run/netns/{topology.OPS}")
        yield Lab(ours, f"/proc/self/fd/{home}")
    finally:
        enter(f"/proc/self/fd/{home}")
        os.close(home)


@pytest.fixture(scope="module")
def pair(lab: Lab) -> Iterator[tuple[Running, Running]]:
    """Two fresh servers for a module: an original of infrastructure 2022 and a transit of 2026."""
    with lab.fresh("2022", "2026") as (old, new):
        yield old, new


@pytest.fixture(scope="session")
def farm(lab: Lab) -> Iterator[Farm]:
    """A VPS with small accounts, its transit, and real Airflow: the tests of whole migrations share one."""
    from tests.lab.airflow_lab import farm_of

    with farm_of(lab) as one:
        yield one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder needs the lab; the migration and what takes the lab down come last."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lab)
    # What shares one Airflow, in the order of the migration's story; then what takes it all down.
    last = ("shared", "browser_out", "failures", "refusals", "browser_home", "migration", "adopting", "lab_down")
    order = {f"test_{name}.py": place for place, name in enumerate(last)}
    items.sort(key=lambda item: order.get(item.path.name, -1))
