"""The lab for tests: `lab` brings it up if it is not, and hands out servers.

The test process itself steps into th-ops, the namespace that operators work from, so that SSH, DNS and HTTP
from a test go where Airflow's would.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.stage import enter
from include.machines import Installed, LxcMachines, MachineSpec
from include.network.names import Names
from lab import __main__ as lab_cli
from lab import names, postgres, router, scratch, servers, state, topology


@dataclass(frozen=True)
class Running:
    """A server that a test may use: what it is, and the host key it came up with."""

    server: topology.Server
    installed: Installed

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def spec(self) -> MachineSpec:
        return self.server.spec

    @property
    def address(self) -> str:
        """Where its sshd answers."""
        return self.server.spec.management_address


class Lab:
    """Handles on the lab that is up."""

    def __init__(self, ours: bool, home: str) -> None:
        self.home = home  # the network namespace that the tests were started in
        self.ours = ours  # whether these tests brought it up, so that they may take it down
        self.machines: LxcMachines = servers.machines()
        self.names: Names = names.client()
        self.ops_key: Path = state.key("ops")

    def server(self, name: str) -> topology.Server:
        """A server by name: its spec and its service IPs."""
        return topology.server(name)

    def route(self, argv: list[str]) -> str:
        """Run a permitted `ip route` command on the router; what include.network.routes takes as `run`."""
        return router.execute(argv)

    def dsn(self, database: str = "registry") -> str:
        """How psycopg reaches a database of the lab's own PostgreSQL."""
        return postgres.dsn(database)

    def in_ns(self, netns: str, argv: Sequence[str], **more) -> subprocess.CompletedProcess[str]:
        """Run a command inside a namespace of the lab, its output captured as text."""
        options = {"capture_output": True, "text": True, "timeout": 60} | more
        return subprocess.run(state.in_ns(netns, argv), **options)

    def root(
        self,
        name: str,
        argv: Sequence[str],
        stdin: bytes | None = None,
        check: bool = True,
        seconds: float = 120,
    ) -> str:
        """Run a command as root inside a server, past everything that is being tested; its output."""
        done = self.machines.execute(name, list(argv), stdin=stdin, seconds=seconds)
        if check and done.returncode:
            raise AssertionError(f"{argv} on {name} ended with {done.returncode}: {done.stderr.decode()[-800:]}")
        return done.stdout.decode(errors="replace")

    def at_home(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the namespace that the tests were started in, as `python -m lab` would."""
        with ThreadPoolExecutor(1, initializer=enter, initargs=(self.home,)) as pool:
            return pool.submit(function, *args).result()

    @contextmanager
    def fresh(self, *infrastructures: str) -> Iterator[list[Running]]:
        """Freshly installed servers of the pool, one for each infrastructure; wiped afterwards."""
        with scratch.claimed(len(infrastructures)) as taken, ThreadPoolExecutor() as pool:
            try:
                specs = [one.spec for one in taken]
                installed = list(pool.map(self.machines.reinstall, specs, infrastructures))
                yield [Running(one, how) for one, how in zip(taken, installed, strict=True)]
            finally:
                for one in taken:
                    self.machines.wipe(one.spec)


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
def farm(lab: Lab) -> Iterator[Any]:
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
    last = ("shared", "browser_out", "failures", "refusals", "browser_home", "migration", "lab_down")
    order = {f"test_{name}.py": place for place, name in enumerate(last)}
    items.sort(key=lambda item: order.get(item.path.name, -1))
