"""Which server takes a test copy, or an account for good: of those in its site where nobody has its names, the one with
most room.

Room is what `describe` told last, less what has come or is coming since.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from include.registry.catalogue import Entry
from include.registry.database import column, execute, rows, value

SPARE = 1.2
"""How much room a copy wants, in parts of what it copies: restoring takes more than what is there in the end."""

GIVE_WAY = "Change the one of the two that can be changed, or add a server."
"""What to do where two accounts would have the same login, uid or database on a server."""

_LOCK = 7_203_102  # any number: who chooses a server takes turns on it


@dataclass(frozen=True)
class Choice:
    """A server that runs what is wanted, has an IP of each family that the account's names need, and is not paused.
    `free_bytes` is 0 when its disk is not known; `moves` that it takes part in are over moves."""

    name: str
    free_bytes: int
    accounts: int
    moves: int


def lock(conn: psycopg.Connection) -> None:
    """Take the turn; held until the transaction ends. Taken after the account's row, so that what is chosen stays
    true; the schema takes it as well."""
    execute(conn, "SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": _LOCK})


def first_that_fits(
    conn: psycopg.Connection, servers: Sequence[str], account: str, kind: str
) -> tuple[str | None, list[str]]:
    """The first of the servers on which nobody else has what the account would bring, and what others have on those
    before it: one sentence each."""
    taken: list[str] = []
    for server in servers:
        here = column(
            conn,
            "SELECT taken(%(account)s, %(server)s, %(kind)s)",
            {"account": account, "server": server, "kind": kind},
        )
        if not here:
            return server, taken
        taken += here
    return None, taken


def of_its_layout(conn: psycopg.Connection, kind: str, account: str) -> str:
    """The layout that a server must have for the account, as words of a sentence (" and the layout classic"); nothing
    where all of the kind have that."""
    words: str = value(
        conn,
        """
        SELECT coalesce(max(' and the layout ' || layout_of(a.server)), '') FROM accounts a, servers s
        WHERE a.name = %(account)s AND s.kind = %(kind)s AND layout_of(s.name) <> layout_of(a.server)
        """,
        {"account": account, "kind": kind},
    )
    return words


def choices(conn: psycopg.Connection, kind: str, entry: Entry, account: str, name: str | None = None) -> list[Choice]:
    """The servers of `kind` (or the one of that name) that run what the entry leads to and could take the account,
    best first: fewest moves, then most free disk for each account that would live there."""
    return rows(
        conn,
        Choice,
        """
        WITH copies AS (
            SELECT t.server, account_bytes(a.description, c.kind) AS bytes, t.began_at AS at,
                t.state <> 'removed' AS live
            FROM tests t JOIN accounts a ON a.name = t.account JOIN catalogue c ON c.name = t.entry
            UNION ALL
            SELECT m.to_server, account_bytes(a.description, c.kind), coalesce(m.committed_at, 'infinity'),
                m.state <> 'returned'
            FROM moves m JOIN accounts a ON a.name = m.account JOIN catalogue c ON c.name = m.entry
        ),
        found AS (
            SELECT s.name,
                coalesce((s.description -> 'disk' ->> 'free_bytes')::bigint, 0) - coalesce((
                    SELECT sum(o.bytes) FROM copies o
                    WHERE o.server = s.name AND o.live AND o.at > coalesce(s.described_at, '-infinity')
                ), 0)::bigint AS free_bytes,
                (
                    SELECT count(*) FROM (
                        SELECT FROM accounts WHERE server = s.name AND removed_at IS NULL
                        UNION ALL SELECT FROM account_engines WHERE server = s.name
                    ) here
                )::integer AS accounts,
                (
                    SELECT count(*) FROM live_moves m
                    WHERE s.name IN (m.from_server, m.to_server) AND m.direction = 'over'
                )::integer AS moves
            FROM servers s
            WHERE s.kind = %(kind)s AND (%(name)s::text IS NULL OR s.name = %(name)s) AND s.state = 'serving'
                AND s.host_key IS NOT NULL AND s.paused_because IS NULL
                -- a person may name one elsewhere
                AND (%(name)s::text IS NOT NULL OR s.site IS NOT DISTINCT FROM (
                    SELECT at.site FROM accounts a JOIN servers at ON at.name = a.server WHERE a.name = %(account)s
                ))
                AND version_of(s.infrastructure, s.versions, %(entry_kind)s) = %(version)s
                -- databases alone have their places wherever they are
                AND (%(kind)s = 'database' OR layout_of(s.name) = (
                    SELECT layout_of(server) FROM accounts WHERE name = %(account)s
                ))
                AND (%(kind)s <> 'shared' OR NOT EXISTS (
                    SELECT FROM names n WHERE n.account = %(account)s AND n.left_because IS NULL AND NOT EXISTS (
                        SELECT FROM ips WHERE home_server = s.name AND family(ips.address) = family(n.address)
                    )
                ))
        )
        SELECT f.* FROM found f, accounts a
        WHERE a.name = %(account)s AND f.free_bytes >= %(spare)s * account_bytes(a.description, %(entry_kind)s)
        ORDER BY f.moves, f.free_bytes / (f.accounts + 1) DESC, f.name
        """,
        {
            "kind": kind,
            "name": name,
            "entry_kind": entry.kind,
            "version": entry.to_version,
            "account": account,
            "spare": SPARE,
        },
    )
