"""What probes outside have seen of a migration. They share no code with the mover; the board shows what they tell."""

from collections.abc import Iterable
from typing import Any

import psycopg

from include.registry.database import in_transaction
from include.registry.events import event
from include.registry.kinds import EventKind

_WAIT = ("direction", "longest_wait_ms", "requests", "failed")
_GAP = ("ip", "step", "longest_gap_ms", "probes", "lost")


@in_transaction
def record_probes(
    conn: psycopg.Connection, migration: int, waits: Iterable[dict[str, Any]], gaps: Iterable[dict[str, Any]]
) -> None:
    """Note in the event log what was measured: for each move of an account (`account` and what `_WAIT` names), and for
    each IP and step (what `_GAP` names). What else the dictionaries hold is left out; the newest of the same counts."""
    for seen in waits:
        detail = {key: seen[key] for key in _WAIT}
        event(conn, EventKind.PROBE_WAIT, migration=migration, account=seen["account"], detail=detail)
    for seen in gaps:
        event(conn, EventKind.PROBE_GAP, migration=migration, detail={key: seen[key] for key in _GAP})
