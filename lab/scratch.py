"""Scratch servers: each is used by one test run, benchmark or `make faults` at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock

from lab import servers, state, topology
from lab.say import LabError


@contextmanager
def claimed(count: int) -> Iterator[list[topology.Server]]:
    """So many scratch servers that nobody else uses while this lasts; those that nobody has left behind first."""
    pool = [server for server in topology.SERVERS.values() if server.kind == "scratch"]
    left_behind = servers.machines().infrastructure
    taken: list[topology.Server] = []
    with ExitStack() as claims:
        for server in sorted(pool, key=lambda server: left_behind(server.name) is not None):
            if len(taken) == count:
                break
            claim = claims.enter_context(open(state.RUN / f"{server.name}.claim", "w"))
            try:
                flock(claim, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                continue
            taken.append(server)
        if len(taken) < count:
            raise LabError(f"{count} scratch servers are needed and {len(taken)} are free: give some back first.")
        yield taken
