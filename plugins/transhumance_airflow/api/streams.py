"""Streams of events: the log is asked every second, and each stream goes on from the last event that it sent.

A stream ends by itself after some minutes, so that rights are asked for again and the API server can be restarted; a
client of server-sent events comes back with Last-Event-ID and misses nothing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import anyio
from fastapi import Depends, Header
from fastapi.sse import ServerSentEvent

from include import registry
from transhumance_airflow.api import models, views
from transhumance_airflow.api.auth import Caller, CallerDep
from transhumance_airflow.api.database import registry_connection
from transhumance_airflow.api.problems import Problem
from transhumance_airflow.open_streams import OpenStreams, TooMany

POLL_SECONDS = 1.0
LIFETIME_SECONDS = 300.0
MOST, MOST_OF_A_USER, MOST_IN_ALL = 10, 100, 200
"""So many streams at once for a customer, a user of Airflow (the panel), and everybody."""

READERS = 8
"""So many threads at once read events for streams; what is left of the server's is for calls."""

RETRY_MS = 1000
"""A client that lost its stream comes back after this."""

LastEventId = Annotated[
    int | None,
    Header(
        alias="Last-Event-ID",
        ge=0,
        le=2**53,
        description="The last event that was seen; the stream goes on behind it. Without it: from now on.",
    ),
]

_streams = OpenStreams(MOST, MOST_OF_A_USER, MOST_IN_ALL)
_open = _streams.open
_readers = anyio.CapacityLimiter(READERS)


def slot(caller: CallerDep) -> Iterator[None]:
    """One of the caller's streams, until it ends."""
    try:
        with _streams.one_more(caller.user.get_id(), caller.customer):
            yield
    except TooMany as error:
        raise Problem("too-many", str(error), {"Retry-After": "60"}) from None


Slot = Annotated[None, Depends(slot)]


async def follow(
    caller: Caller, last: int | None, account: str | None = None, server: str | None = None
) -> AsyncIterator[ServerSentEvent]:
    """Events behind `last` (else from now on), as they happen."""

    def read(after: int | None) -> tuple[int, list[models.Event]]:
        with registry_connection() as conn:
            if after is None:
                return registry.settled(conn), []
            found = views.events(conn, caller, account, server, after)
            return (found[-1].id if found else after), found

    until = time.monotonic() + LIFETIME_SECONDS
    yield ServerSentEvent(comment="following", retry=RETRY_MS)
    while time.monotonic() < until:
        last, events = await anyio.to_thread.run_sync(read, last, limiter=_readers)
        for event in events:
            yield ServerSentEvent(data=event, event=event.kind, id=str(event.id))
        if not events:
            await anyio.sleep(POLL_SECONDS)
