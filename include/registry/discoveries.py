"""Who was found on a server that other tools filled: its accounts by the server's own configuration, the last time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include.registry.database import execute, in_transaction, row


@dataclass(frozen=True)
class DiscoveredAccount:
    """`unfit`: what of it cannot go over yet, a sentence each; where there is any it is not adopted."""

    name: str
    home: str
    hosts: list[str]
    unfit: list[str]


@dataclass(frozen=True)
class Discovery:
    """`accounts`: each as `DiscoveredAccount` says it; `unclear`: what is not understood, or is nobody's: a sentence
    each."""

    server: str
    accounts: list[dict[str, Any]]
    unclear: list[str]
    discovered_at: datetime


@in_transaction
def record_discovery(
    conn: psycopg.Connection, server: str, accounts: Sequence[DiscoveredAccount], unclear: Sequence[str]
) -> None:
    """Keep who was found on a server now, in the place of all that was."""
    execute(
        conn,
        """
        INSERT INTO discoveries (server, accounts, unclear) VALUES (%(server)s, %(accounts)s, %(unclear)s)
        ON CONFLICT (server) DO UPDATE
            SET accounts = excluded.accounts, unclear = excluded.unclear, discovered_at = now()
        """,
        {"server": server, "accounts": Jsonb([*map(asdict, accounts)]), "unclear": Jsonb([*unclear])},
    )


@in_transaction
def discovery(conn: psycopg.Connection, server: str) -> Discovery | None:
    """Who was found there last; None where nobody has looked yet."""
    return row(
        conn,
        Discovery,
        "SELECT server, accounts, unclear, discovered_at FROM discoveries WHERE server = %(server)s",
        {"server": server},
    )
