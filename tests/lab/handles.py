"""The lab and its servers, as tests hold them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.stage import enter
from include.machines import Installed, LxcMachines, MachineSpec
from include.network.names import Names
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

    def in_ns(self, netns: str, argv: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
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
