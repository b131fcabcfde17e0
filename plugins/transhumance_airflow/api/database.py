"""The registry behind the API: connections that are kept, since a call takes less time than to open one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from queue import Empty, Full, LifoQueue
from typing import Annotated

import psycopg
from fastapi import Depends
from psycopg.pq import TransactionStatus

from transhumance_airflow import connections

KEPT = 8
"""So many connections at most are kept while nobody uses them; in use there are as many as calls at work."""

_idle: LifoQueue[tuple[psycopg.Connection, ExitStack]] = LifoQueue(KEPT)


@contextmanager
def registry_connection() -> Iterator[psycopg.Connection]:
    """A connection to the registry, in autocommit. One that broke meanwhile is not given to the next."""
    conn, closing = _take()
    try:
        yield conn
    finally:
        if conn.closed or conn.info.transaction_status != TransactionStatus.IDLE:
            closing.close()
        else:
            try:
                _idle.put_nowait((conn, closing))
            except Full:
                closing.close()


def _take() -> tuple[psycopg.Connection, ExitStack]:
    while True:
        try:
            conn, closing = _idle.get_nowait()
        except Empty:
            closing = ExitStack()
            return closing.enter_context(connections.registry_connection()), closing
        try:
            conn.execute("SELECT")  # the registry may have been restarted since
            return conn, closing
        except psycopg.OperationalError:
            closing.close()


def forget() -> None:
    """Close what is kept."""
    while not _idle.empty():
        _idle.get_nowait()[1].close()


def connection() -> Iterator[psycopg.Connection]:
    """A call's connection; given back before its answer is sent, which may be a stream."""
    with registry_connection() as conn:
        yield conn


Registry = Annotated[psycopg.Connection, Depends(connection, scope="function")]
