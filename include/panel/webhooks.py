"""Webhooks: what customers are told goes to the host's own system as well, through the outbox (see docs/api.md)."""

from __future__ import annotations

import logging

import psycopg

from include import registry
from include.panel import event_text
from include.registry import webhooks

log = logging.getLogger(__name__)

READER = "webhook"
"""By what name the registry remembers how far we are."""

PAGE = 1000


def replay(conn: psycopg.Connection, after: int | None, customer: str | None, by: str) -> None:
    """Puts every event behind the id `after` into the outbox once more (of one customer, or of all), as somebody asked;
    None asks for nothing."""
    if after is not None:
        again = webhooks.replay(conn, after, customer)
        log.info("%d events are delivered again, as %s asked.", again, by)


def enqueue_events(conn: psycopg.Connection) -> int:
    """Put what happened since the last call into the outbox, from which it is delivered; gives how many messages. Can
    be repeated; two at once take turns."""
    count = 0
    while True:
        with conn.transaction():
            events = registry.unread(conn, READER, PAGE)
            if not events:
                return count
            messages = [
                message(event) for event in events if event.kind in event_text.TOLD and event.customer is not None
            ]
            count += webhooks.enqueue(conn, messages)
            registry.read_through(conn, READER, events[-1].id)


def message(event: registry.Event) -> dict[str, object]:
    """An event as its message tells it."""
    return {
        "id": event.id,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "customer": event.customer,
        "account": event.account,
        "server": event.server,
        "sentence": event_text.for_customer(event),
    }
