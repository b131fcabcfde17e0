"""Webhooks: what customers are told goes to the host's own system as well, through the outbox (see docs/api.md)."""

from __future__ import annotations

import psycopg

from include.panel import story
from include.registry import panel

PAGE = 1000


def announce(conn: psycopg.Connection) -> int:
    """Put what happened since the last call into the outbox, from which it is delivered; gives how many events. Can be
    repeated."""
    announced = 0
    while True:
        events = panel.unannounced(conn, list(story.TOLD), PAGE)
        announced += panel.announce(conn, [message(event) for event in events])
        if len(events) < PAGE:
            return announced


def message(event: panel.Unannounced) -> dict[str, object]:
    """An event as its message tells it."""
    return {
        "id": event.id,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "customer": event.customer,
        "account": event.account,
        "server": event.server,
        "sentence": story.sentence(event),
    }
