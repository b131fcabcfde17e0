"""The registry behind the API: connections that are kept, since a call takes less time than to open one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import Empty, Full, LifoQueue
from typing import Annotated

import psycopg
from fastapi import Depends
from psycopg.pq import TransactionStatus

from transhumance_airflow import connections

KEPT = 8
"""So many connections at most are kept while nobody uses them; in use there are as many as calls at work."""

LIFETIME_SECONDS = 30.0
"""None gets older: it would know neither a new password nor a new setting of the database."""

_idle: LifoQueue[_Kept] = LifoQueue(KEPT)


@dataclass(frozen=True)
class _Kept:
    conn: psycopg.Connection
    closing: ExitStack
    until: float


@contextmanager
def registry_connection() -> Iterator[psycopg.Connection]:
    """A connection to the registry, in autocommit. One that broke meanwhile is not given to the next."""
    kept = _take()
    try:
        yield kept.conn
    finally:
        _put(kept)


def _take() -> _Kept:
    while True:
        try:
            kept = _idle.get_nowait()
        except Empty:
            closing = ExitStack()
            conn = closing.enter_context(connections.registry_connection())
            return _Kept(conn, closing, time.monotonic() + LIFETIME_SECONDS)
        try:
            kept.conn.execute("SELECT")  # the registry may have been restarted since
            return kept
        except psycopg.OperationalError:
            kept.closing.close()


def _put(kept: _Kept) -> None:
    broken = kept.conn.closed or kept.conn.info.transaction_status != TransactionStatus.IDLE
    if not broken and time.monotonic() < kept.until:
        try:
            return _idle.put_nowait(kept)
        except Full:
            pass
    kept.closing.close()


def forget() -> None:
    """Close what is kept."""
    while not _idle.empty():
        _idle.get_nowait().closing.close()


def connection() -> Iterator[psycopg.Connection]:
    """A call's connection; given back before its answer is sent, which may be a stream."""
    with registry_connection() as conn:
        yield conn


Registry = Annotated[psycopg.Connection, Depends(connection, scope="function")]
