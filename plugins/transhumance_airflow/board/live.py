"""The stream that keeps an open page true: one a page, sections of HTML as events, only those that changed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

import psycopg
from fastapi.sse import ServerSentEvent

from include import registry
from transhumance_airflow.board import gather

LOOK_SECONDS = 1.0
"""How often the registry is asked for its newest event: once for all open pages."""

RENEW_SECONDS = 5.0
"""How often a page is rendered although nothing was written: time passes, and Airflow's tasks fail without an event."""

STREAM_SECONDS = 60.0
"""How long one stream lasts. The browser connects again by itself, and is asked again who it is; and nothing of the
board keeps the API server from stopping for longer."""

AGAIN_MS = 300
"""After how long the browser connects again."""

log = logging.getLogger(__name__)


async def changes(render: Callable[[], dict[str, str]]) -> AsyncIterator[ServerSentEvent]:
    """What `render` gives, section by section, whenever a section is no longer what this page has."""
    sent: dict[str, str] = {}
    seen, renewed = -1, 0.0
    ends = time.monotonic() + STREAM_SECONDS
    while time.monotonic() < ends:
        try:
            newest = await asyncio.to_thread(gather.shared_last_event.get)
            if newest != seen or time.monotonic() - renewed > RENEW_SECONDS:
                if newest != seen:
                    gather.shared_glance.forget()
                sections = await asyncio.to_thread(render)
                seen, renewed = newest, time.monotonic()
                for name, html in sections.items():
                    if sent.get(name) != html:
                        yield ServerSentEvent(event=name, raw_data=html, id=str(newest), retry=AGAIN_MS)
                        sent[name] = html
        except registry.RegistryRefused:
            return  # there is no such server
        except psycopg.OperationalError as error:
            log.warning("The registry gave no answer to the board: %s", error)
            return
        await asyncio.sleep(LOOK_SECONDS)
