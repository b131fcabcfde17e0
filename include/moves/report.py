"""The report of a migration: one JSON file that says what was moved, verified and changed, and when."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg

from include import registry, report_files
from include.moves import forwarding, proof
from include.registry.kinds import EventKind
from include.registry.states import MigrationState

log = logging.getLogger(__name__)


def gather(conn: psycopg.Connection, migration: int) -> dict[str, Any]:
    """What the registry knows of the migration: itself, how each account moved, what its customer is told of names,
    what took the old path, and all of it as it was recorded: the moves with their figures, the events."""
    record = registry.migration(conn, migration)
    moves = registry.moves_of(conn, migration)
    return {
        "migration": asdict(record),
        "accounts": [account(move) for move in moves if move.committed_at is not None],
        "names": names(conn, record),
        "forwarded": forwarding.last(conn, migration),
        "moves": [asdict(move) for move in moves],
        "events": [asdict(event) for event in registry.list_events(conn, migration_id=migration, limit=1_000_000)],
    }


def account(move: registry.Move) -> dict[str, Any]:
    """One account's move: the wait that was expected and agreed to, the real hold, how each database was followed and
    why; what was verified, with which scope, and what was left out."""
    copied, switched = move.figures.copy, move.figures.switch
    agreed = move.figures.longest_wait_seconds
    proven = proof.of(move.figures)
    return {
        "account": move.account,
        "direction": move.direction,
        "agreed_ms": None if agreed is None else agreed * 1000,
        "expected_ms": switched.expected_ms,
        "held_ms": switched.held_ms,
        "steps": [asdict(step) for step in switched.steps],
        "databases": [asdict(way) for way in switched.ways or copied.ways],
        "verified": {**proven.counts, "equal": proven.equal, "complete": proven.verified},
        "left": proven.left,
        "scope": {part: asdict(scope) for part, scope in proven.scope.items()},
    }


def names(conn: psycopg.Connection, migration: registry.Migration) -> dict[str, list[str]]:
    """What each account's customer is told of its names: those that are not in our DNS, or that somebody changed."""
    by_account = {
        account: [*sentences.values()] for account, sentences in registry.names_elsewhere(conn, migration.id).items()
    }
    for name in registry.names_of(conn, migration.server):
        if name.left_because:
            by_account.setdefault(name.account, []).append(name.left_because)
    return by_account


def summary(report: dict[str, Any]) -> str:
    """The report's part for people, as lines."""
    return "\n".join(_lines(report))


def _lines(report: dict[str, Any]) -> Iterator[str]:
    for move in report["accounts"]:
        seen = ", ".join(f"{move['verified'][unit]} {unit}" for unit in proof.COUNTED if move["verified"][unit])
        waits = f"held {_ms(move['held_ms'])}, expected {_ms(move['expected_ms'])}, agreed {_ms(move['agreed_ms'])}"
        equal = "equal on both servers" if move["verified"]["equal"] else "not proven equal"
        yield f"{move['account']} {move['direction']}: {waits}; {equal}: {seen or 'nothing'}."
        yield from (f"  Not carried, so this move is not called verified: {sentence}" for sentence in move["left"])
        for database in move["databases"]:
            yield f"  {database['store']} {database['database']}: {database['way']}. {database['why']}"
    for account_, sentences in sorted(report["names"].items()):
        yield from (f"{account_}: {sentence}" for sentence in sentences)
    yield from forwarding.sentences(report["forwarded"])


def _ms(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f} ms"


def finish(conn: psycopg.Connection, migration: int, folder: Path) -> str:
    """Writes the report, and ends the migration that was not given up; gives the file's path."""
    path = write(conn, migration, folder)
    if not registry.migration(conn, migration).given_up:
        registry.advance(conn, migration, MigrationState.DONE)
    return str(path)


def write(conn: psycopg.Connection, migration: int, folder: Path) -> Path:
    """Writes the report to `folder`, its part for people to the log, and notes that in the event log; gives the file.
    A repeated call replaces it."""
    report = gather(conn, migration)
    path = report_files.put(folder, f"migration-{migration}.json", json.dumps(report, indent=1, default=str) + "\n")
    registry.event(conn, EventKind.REPORT_WRITTEN, migration=migration, detail={"file": path.name})
    log.info("\n%s", summary(report))
    return path
