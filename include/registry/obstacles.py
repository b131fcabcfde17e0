"""What was found, before a move, to stand in its way: kept as events, so that customers are told of it as of any."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from include.registry.database import in_transaction, row
from include.registry.events import event
from include.registry.kinds import EventKind


@dataclass(frozen=True)
class Foreseen:
    """What stands in the way of an account, {"sentence", "who": customer|host} each, and what would not go with it, in
    sentences; both empty when nothing does any more. `at`: when that was found."""

    at: datetime
    obstacles: list[dict[str, str]]
    left: list[str]


@in_transaction
def foresee(
    conn: psycopg.Connection,
    account: str,
    entry: str,
    obstacles: list[dict[str, str]],
    left: list[str],
    why: str,
    by: str,
) -> None:
    """Note what stands in the way of the account's move through the entry; `why` is what its customer reads. Nothing is
    written where that is known already. Can be repeated."""
    known = foreseen(conn, account, entry)
    if (known.obstacles, known.left) != (obstacles, left) if known else obstacles or left:
        detail: dict[str, Any] = {"entry": entry, "obstacles": obstacles, "left": left, "why": why}
        event(conn, EventKind.ACCOUNT_FORESEEN, account=account, by=by, detail=detail)


@in_transaction
def foreseen(conn: psycopg.Connection, account: str, entry: str) -> Foreseen | None:
    """What was found last; None when nobody has looked, or when a test has said more since."""
    return row(
        conn,
        Foreseen,
        """
        SELECT at, detail -> 'obstacles' AS obstacles, detail -> 'left' AS left FROM events
        WHERE account = %(account)s AND kind = %(kind)s AND detail ->> 'entry' = %(entry)s AND at > coalesce((
            SELECT max(tested_at) FROM tests WHERE account = %(account)s AND entry = %(entry)s
        ), '-infinity')
        ORDER BY id DESC LIMIT 1
        """,
        {"account": account, "entry": entry, "kind": EventKind.ACCOUNT_FORESEEN},
    )
