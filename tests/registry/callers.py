"""Many callers at once, each on a connection of its own."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import psycopg

from include.registry import RegistryRefused

Answer = TypeVar("Answer")
Fact = TypeVar("Fact")
Connect = Callable[[], psycopg.Connection]


def each_at_once(
    connect: Connect, facts: Iterable[Fact], call: Callable[[psycopg.Connection, Fact], Answer]
) -> list[Answer | RegistryRefused]:
    """The call with each fact, at once."""
    return at_once(connect, [partial(_with, call, fact) for fact in facts])


def _with(call: Callable[[psycopg.Connection, Fact], Answer], fact: Fact, connection: psycopg.Connection) -> Answer:
    return call(connection, fact)


def at_once(
    connect: Connect, calls: Sequence[Callable[[psycopg.Connection], Answer]]
) -> list[Answer | RegistryRefused]:
    """Run every call on a connection of its own, all released by one barrier; results or refusals."""
    connections = [connect() for _ in calls]
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[psycopg.Connection], Answer], connection: psycopg.Connection) -> Answer | RegistryRefused:
        barrier.wait()
        try:
            return call(connection)
        except RegistryRefused as refusal:
            return refusal

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls, connections))
