"""What still takes the old path: what a server passes on for the accounts that have left it, so that ops know when it
is idle. Nothing waits for that: names follow their accounts, and IPs are rerouted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg

from include import registry
from include.agent import verbs
from include.agent.verbs.described import Description
from include.hosts import AgentError, Host, HostUnreachable
from include.registry.kinds import EventKind
from include.registry.states import MigrationState

ASKED = (
    MigrationState.HANDED_OVER,
    MigrationState.ACCOUNTS_MOVED,
    MigrationState.REROUTED,
    MigrationState.ORIGINAL_EMPTY,
)


def record(conn: psycopg.Connection, migration: int, description: Description) -> list[str]:
    """Notes in the event log what a described original has passed on so far; gives a sentence for each account."""
    now = {
        account["account"]: account["forwarded"]
        for account in description.accounts
        if account["state"] == "moved" and account.get("forwarded") is not None
    }
    if now and now != last(conn, migration):
        server = registry.migration(conn, migration).server
        registry.event(conn, EventKind.ORIGINAL_FORWARDED, migration=migration, server=server, detail=now)
    return sentences(now)


def record_all(conn: psycopg.Connection, reach: Callable[[str], Host]) -> list[str]:
    """Asks every original that accounts have left and that is not reinstalled yet; gives a sentence an account."""
    sentences = []
    for migration in registry.list_migrations(conn):
        if migration.state in ASKED:
            try:
                description = reach(migration.server).call(verbs.Describe())
                sentences += record(conn, migration.id, description) or [f"{migration.server}: no account has left it."]
            except (HostUnreachable, AgentError) as error:
                sentences.append(f"{migration.server}: {error}")
    return sentences


def last(conn: psycopg.Connection, migration: int) -> dict[str, Any]:
    """What was noted last, by account."""
    log = registry.list_events(conn, migration_id=migration, limit=1_000_000)
    return next((event.detail for event in reversed(log) if event.kind == EventKind.ORIGINAL_FORWARDED), {})


def sentences(forwarded: dict[str, Any], at: datetime | None = None) -> list[str]:
    """One sentence an account: what took its old path, and for how long nothing has (seen at the time `at`)."""
    return [f"{account}: {_sentence(by, at or datetime.now(UTC))}" for account, by in sorted(forwarded.items())]


def _sentence(by: dict[str, dict[str, Any]], at: datetime) -> str:
    used = {protocol: passed for protocol, passed in sorted(by.items()) if passed["count"]}
    if not used:
        return "nothing has come by the old path."
    counts = ", ".join(f"{passed['count']} {protocol}" for protocol, passed in used.items())
    latest = max((passed["last"] for passed in used.values() if passed["last"] is not None), default=None)
    if latest is None:
        return f"by the old path came {counts}."
    return f"by the old path came {counts}; nothing since {_ago(at.timestamp() - latest)}."


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
