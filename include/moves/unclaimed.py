"""What lives on a server and is no account's: looked at, kept, and signed for by a person, or it stops the run."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import psycopg

from include import registry
from include.agent import verbs
from include.hosts import Host

_TOLD = 10
TIMEOUT = 900.0
"""Seconds that a look at a whole server may take."""


def look(conn: psycopg.Connection, server: str, host: Host) -> list[registry.Unclaimed]:
    """Everything there that is no account's, as it is now; each look is one of its own."""
    seen = host.run(f"inspect-{secrets.token_hex(8)}", verbs.Inspect(), timeout=TIMEOUT)
    return keep(conn, server, seen.unclaimed)


def keep(conn: psycopg.Connection, server: str, things: Iterable[verbs.Unclaimed]) -> list[registry.Unclaimed]:
    """The registry knows what the server itself has told."""
    return registry.record_unclaimed(conn, server, [(each.kind, each.name, each.sentence) for each in things])


def signed(conn: psycopg.Connection, server: str) -> list[verbs.Signed]:
    """What somebody has signed for, to be told to the server."""
    things = registry.unclaimed_of(conn, server)
    return [verbs.Signed(kind=each.kind, name=each.name) for each in things if each.signed_by is not None]


def require_signed(conn: psycopg.Connection, server: str, host: Host) -> None:
    """Refused while there is anything on the server that is no account's, and that nobody has signed for."""
    unsigned = [each for each in look(conn, server, host) if each.signed_by is None]
    if unsigned:
        raise registry.RegistryRefused(
            f"On {server} there is what is no account's, and would be lost: "
            f"{some([each.sentence for each in unsigned])} {what_to_do(server)}"
        )


def what_to_do(server: str) -> str:
    """What a person can do about it."""
    return (
        f"Make each an account's, take it away, or sign for it (python -m cli unclaimed {server}, python -m cli sign "
        f"{server} KIND NAME --reason WHY, or the board's page of {server}); then start again, or clear the task."
    )


def some(sentences: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" And {len(sentences) - _TOLD} more." if len(sentences) > _TOLD else ""
    return " ".join(sentences[:_TOLD]) + more
