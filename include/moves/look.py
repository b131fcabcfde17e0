"""A look at an account from outside, as plain data, and what may differ between two of them.

A look is {"urls": {url: {"status", "title", "certificate"}}, "postgresql": {table: rows}, "mysql": {table:
rows}, "imap": {"connection/mailbox": {"uidvalidity", "messages", "uids"}}}; whatever could not be looked at
is {"error": kind} in its place. It holds counts, states and digests: nothing that a customer wrote. The
account serves its visitors between the two looks, so tables and mailboxes may have grown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from include import registry
from include.facts import MoveFacts
from include.registry.kinds import EventKind
from include.registry.states import MoveState

Take = Callable[[str, str], dict[str, Any]]
"""Looks: (account, address of the server that it lives on) -> a look."""


def before(conn: psycopg.Connection, move: MoveFacts, take: Take) -> dict[str, Any]:
    """The look before the move, taken on the account's server; written to the event log.

    Once the account may have left, the look that was taken then is given again.
    """
    if registry.move(conn, move.id).state != MoveState.PREPARING:
        for event in reversed(registry.list_events(conn, account=move.account, limit=1_000_000)):
            if event.kind == EventKind.LOOK_BEFORE and event.detail["epoch"] == move.epoch:
                return event.detail["look"]
    return _taken(conn, move, "before", move.from_server, take)


def after(conn: psycopg.Connection, move: MoveFacts, was: dict[str, Any], take: Take) -> dict[str, Any]:
    """The look after the move. Refused with every difference from the one before."""
    # Where one engine's databases moved, the account is met where it was, and leads there.
    now = _taken(conn, move, "after", move.from_server if move.engine else move.to_server, take)
    differences = worse(was, now)
    if differences:
        raise registry.RegistryRefused(
            f"{move.account} is not as it was before it moved to {move.to_server}: {' '.join(differences)}"
        )
    return now


def _taken(conn: psycopg.Connection, move: MoveFacts, when: str, server: str, take: Take) -> dict[str, Any]:
    taken = take(move.account, str(registry.server(conn, server).management_address))
    registry.event(
        conn,
        EventKind(f"look.{when}"),
        migration=move.migration,
        account=move.account,
        move=move.id,
        detail={"epoch": move.epoch, "look": taken},
    )
    return taken


def worse(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """One sentence for each thing that is not as it was; empty if the account is as its customer knows it."""
    differences: list[str] = []
    for url, was in before.get("urls", {}).items():
        differences += _site(url, was, after.get("urls", {}).get(url))
    for engine, name in (("postgresql", "PostgreSQL"), ("mysql", "MariaDB")):
        differences += _tables(name, before.get(engine, {}), after.get(engine, {}))
    for mailbox, was in before.get("imap", {}).items():
        now = after.get("imap", {})
        # Nobody could log in: then the mailboxes' names are not known either.
        differences += _mailbox(mailbox, was, now.get(mailbox, now.get(mailbox.partition("/")[0] + "/")))
    return differences


def _site(url: str, was: dict[str, Any], now: dict[str, Any] | None) -> list[str]:
    if now is None:
        return [f"{url} was not looked at."]
    if "error" in was:
        return []
    if "error" in now:
        return [f"{url} cannot be read now ({now['error']})."]
    words = {"status": "answers with another status", "title": "shows another title"}
    differences = [
        f"{url} {word}: {now.get(key)}, not {was.get(key)}."
        for key, word in words.items()
        if now.get(key) != was.get(key)
    ]
    if now.get("certificate") != was.get("certificate"):
        differences.append(f"{url} presents another certificate.")
    return differences


def _tables(engine: str, was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    if "error" in was:
        return []
    if "error" in now:
        return [f"{engine} does not let the account in ({now['error']})."]
    differences = [f"{engine}: the table {table} is missing." for table in was if table not in now]
    differences += [
        f"{engine}: the table {table} has {now[table]} rows, fewer than the {rows} before."
        for table, rows in was.items()
        if table in now and now[table] < rows
    ]
    return differences


def _mailbox(name: str, was: dict[str, Any], now: dict[str, Any] | None) -> list[str]:
    if "error" in was:
        return []
    if now is None:
        return [f"The mailbox {name} is missing."]
    if "error" in now:
        return [f"The mailbox {name} cannot be read ({now['error']})."]
    if now["uidvalidity"] != was["uidvalidity"]:
        return [f"The mailbox {name} has another UIDVALIDITY: every mail program would fetch it anew."]
    lost = uids(was["uids"]) - uids(now["uids"])
    return [f"The mailbox {name} lacks {len(lost)} of its {was['messages']} messages."] if lost else []


def uid_set(numbers: list[int]) -> str:
    """UIDs as an IMAP sequence set, such as "1:120,125": small, and still exact."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in spans)


def uids(text: str) -> set[int]:
    """The UIDs of an IMAP sequence set."""
    numbers: set[int] = set()
    for span in filter(None, text.split(",")):
        first, _, last = span.partition(":")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers
