"""Accounts: where each one lives, and where it belongs."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include.registry.database import RegistryRefused, execute, in_transaction, row, rows, value
from include.registry.events import event
from include.registry.kinds import EventKind, ServerKind

COLUMNS = """
    name, login, server, home_server, epoch, customer, domains, description, described_at, added_at, removed_at, stated
"""

FIRST_EPOCH = 1
"""The epoch at which a server has an account that was made there and has never moved."""


@dataclass(frozen=True)
class Account:
    """An account. `name` is the registry's and everybody's; `login` is what its servers call it, which is the same
    unless an account of another server had that name first. `server` is where it lives now, `home_server` where it
    belongs; `epoch` is the last one that was given to a move or a test of it; `customer` is whose it is where the
    server has no customer; `description` is what the agent's `describe` said of it last; `stated` is what was said
    first, or was confirmed, of its uid and mail: {"uid", "mail_domains"}."""

    name: str
    login: str
    server: str
    home_server: str
    epoch: int
    customer: str | None
    domains: list[str]
    description: dict[str, Any] | None
    described_at: datetime | None
    added_at: datetime
    removed_at: datetime | None
    stated: dict[str, Any] | None


@in_transaction
def add_account(
    conn: psycopg.Connection,
    name: str,
    server: str,
    domains: Iterable[str] = (),
    customer: str | None = None,
    login: str | None = None,
) -> Account:
    """Add an account that lives on `server`, where it is called `login` (None: by its name). On a transit it belongs to
    the original that the transit stands in for. `customer` is whose it is on a shared server; None leaves that as it
    is. Repeating it is fine; a name that lives elsewhere is refused."""
    record = row(conn, Account, f"SELECT {COLUMNS} FROM accounts WHERE name = %(name)s FOR UPDATE", {"name": name})
    if isinstance(domains, str):
        raise TypeError("domains is a list of names, not one")
    wanted = sorted({domain.lower() for domain in domains})
    if record is not None and record.removed_at is None:
        if record.server != server:
            raise RegistryRefused(
                f"Account {name} lives on {record.server}: an account's name is its own, choose another."
            )
        if record.domains != wanted:
            execute(
                conn,
                "UPDATE accounts SET domains = %(domains)s WHERE name = %(name)s",
                {"name": name, "domains": wanted},
            )
            event(conn, EventKind.ACCOUNT_CHANGED, account=name, server=server, detail={"domains": wanted})
        return account(conn, name) if customer is None else set_customer(conn, name, customer)
    home = _home_of(conn, server)
    if record is not None and record.server != server:
        raise RegistryRefused(
            f"Account {name} was removed from {record.server} and its epochs count on there: choose another name."
        )
    execute(
        conn,
        """
        INSERT INTO accounts (name, login, server, home_server, domains, customer)
        VALUES (%(name)s, %(login)s, %(server)s, %(home)s, %(domains)s, %(customer)s)
        ON CONFLICT (name) DO UPDATE
            SET removed_at = NULL, missing_since = NULL, domains = excluded.domains, customer = excluded.customer
        """,
        {
            "name": name,
            "login": login or name,
            "server": server,
            "home": home,
            "domains": wanted,
            "customer": customer,
        },
    )
    event(conn, EventKind.ACCOUNT_ADDED, account=name, server=server, detail={"domains": wanted})
    return account(conn, name)


def _home_of(conn: psycopg.Connection, server: str) -> str:
    """The server itself, or the original that a transit stands in for."""
    home: str = value(
        conn,
        """
        SELECT server FROM live_migrations
        WHERE transit = %(server)s
        UNION ALL SELECT %(server)s LIMIT 1
        """,
        {"server": server},
    )
    return home


@in_transaction
def account(conn: psycopg.Connection, name: str) -> Account:
    """An account; refuses an unknown name. One that was removed has `removed_at`."""
    record = row(conn, Account, f"SELECT {COLUMNS} FROM accounts WHERE name = %(name)s", {"name": name})
    if record is None:
        raise RegistryRefused(f"There is no account {name}: check its name.")
    return record


_account = account  # where a parameter has that name


@in_transaction
def called(conn: psycopg.Connection, login: str, server: str) -> Account | None:
    """The account that a server means by a login: who lives there, else who belongs there or was there before; None
    when nobody of that login has had to do with the server."""
    return row(
        conn,
        Account,
        f"""
        SELECT {COLUMNS} FROM accounts a
        WHERE login = %(login)s AND (%(server)s IN (server, home_server) OR EXISTS (
            SELECT FROM moves m WHERE m.account = a.name AND %(server)s IN (m.from_server, m.to_server)
        ))
        ORDER BY (server = %(server)s AND removed_at IS NULL) DESC, removed_at IS NULL DESC,
            home_server = %(server)s DESC, added_at DESC
        LIMIT 1
        """,
        {"login": login, "server": server},
    )


@in_transaction
def set_customer(conn: psycopg.Connection, account: str, customer: str | None, by: str | None = None) -> Account:
    """Say whose an account of a shared server is. Refused for another customer than a dedicated server's or VPS's."""
    changed = execute(
        conn,
        "UPDATE accounts SET customer = %(customer)s WHERE name = %(name)s AND customer IS DISTINCT FROM %(customer)s",
        {"name": account, "customer": customer},
    )
    record = _account(conn, account)
    if changed:
        event(
            conn,
            EventKind.ACCOUNT_CUSTOMER,
            account=account,
            server=record.server,
            by=by,
            detail={"customer": customer},
        )
    return record


def next_epoch(conn: psycopg.Connection, account: str) -> int:
    """Epoch: the number of the next attempt to move or test the account, above all before. Hosts refuse a lower one."""
    epoch: int = value(
        conn, "UPDATE accounts SET epoch = epoch + 1 WHERE name = %(name)s RETURNING epoch", {"name": account}
    )
    return epoch


@in_transaction
def engines_of(conn: psycopg.Connection, account: str) -> dict[str, str]:
    """The engines whose databases do not live with the account, and where they do: {"postgresql": server}."""
    return {
        engine: server
        for engine, server in conn.execute(
            "SELECT engine, server FROM account_engines WHERE account = %(name)s ORDER BY engine", {"name": account}
        )
    }


@in_transaction
def accounts_of(conn: psycopg.Connection, server: str) -> list[Account]:
    """The accounts that belong to a server, wherever they live now, by name."""
    return rows(
        conn,
        Account,
        f"""
        SELECT {COLUMNS} FROM accounts
        WHERE home_server = %(server)s AND removed_at IS NULL ORDER BY name
        """,
        {"server": server},
    )


@in_transaction
def sync_accounts(conn: psycopg.Connection, server: str, described: Iterable[Mapping[str, Any]]) -> list[Account]:
    """Take over what the agent's `describe` says of a server's accounts: an account created meanwhile is
    added, a known one's sites and sizes are brought up to date. Entries that do not serve or wait there
    (moved, receiving, test copies) are passed over, and so is all of a test or database server; where the
    server's claim contradicts the registry and no move explains it, nothing is changed and an event says so.
    Nothing is ever removed here. Returns who lives on `server`."""
    if value(conn, "SELECT kind FROM servers WHERE name = %(server)s", {"server": server}) in (
        ServerKind.DATABASE,
        ServerKind.TEST,
    ):
        return []
    for entry in described:
        if entry.get("state", "serving") not in ("serving", "held"):
            continue
        login = entry["account"]
        known = called(conn, login, server) or _same_or_other(conn, login, entry)
        name = known.name if known is not None else _free_name(conn, login, server)
        if known is not None and known.server != server:
            if not _moving_to(conn, name, server):
                event(
                    conn,
                    EventKind.ACCOUNT_CONTRADICTION,
                    account=name,
                    server=server,
                    detail={"registry_says": known.server, "epoch_there": entry.get("epoch")},
                )
            continue
        add_account(conn, name, server, _domains(entry), login=login)
        if "stated" in entry:
            _take_stated(conn, known, name, server, entry["stated"])
        execute(
            conn,
            """
            UPDATE accounts SET description = %(description)s, described_at = now(),
                epoch = greatest(epoch, %(epoch)s)
            WHERE name = %(name)s
            """,
            {"name": name, "description": Jsonb(dict(entry)), "epoch": entry.get("epoch") or 0},
        )
    return rows(
        conn,
        Account,
        f"SELECT {COLUMNS} FROM accounts WHERE server = %(server)s AND removed_at IS NULL ORDER BY name",
        {"server": server},
    )


def _same_or_other(conn: psycopg.Connection, login: str, entry: Mapping[str, Any]) -> Account | None:
    """Whom a server means that the account of that login has never had to do with, as far as the registry knows.

    One that has never moved, by its own server's word, is another account of the same login: None. One that has is the
    same, and the registry is behind its hosts: it may have been restored from a backup."""
    if entry.get("epoch") == FIRST_EPOCH:
        return None
    return row(
        conn,
        Account,
        f"SELECT {COLUMNS} FROM accounts WHERE login = %(login)s ORDER BY removed_at IS NULL DESC, added_at LIMIT 1",
        {"login": login},
    )


def _free_name(conn: psycopg.Connection, login: str, server: str) -> str:
    """The login itself, or with the server's name where another account is called so."""
    is_taken = value(conn, "SELECT EXISTS (SELECT FROM accounts WHERE name = %(name)s)", {"name": login})
    return f"{login}.{server}" if is_taken else login


def _take_stated(
    conn: psycopg.Connection, known: Account | None, name: str, server: str, stated: dict[str, Any]
) -> None:
    """What a server says first of an account's uid and mail is written down, but for mail that is another account's.
    What it says otherwise later is told, once, and is written down when somebody has confirmed it."""
    if known is None or known.removed_at is not None or known.stated is None:
        others = value(
            conn,
            """
            SELECT coalesce(array_agg(domain), '{}')
            FROM accounts, jsonb_array_elements_text(stated->'mail_domains') domain
            WHERE name <> %(name)s AND removed_at IS NULL
            """,
            {"name": name},
        )
        first = {**stated, "mail_domains": [each for each in stated["mail_domains"] if each not in others]}
        _write_stated(conn, name, first)
        if first == stated:
            return
        before, known_as = None, first
    else:
        before, known_as = (known.description or {}).get("stated"), known.stated
    if stated not in (known_as, before):
        detail = {"registry_says": known_as, "server_says": stated}
        event(conn, EventKind.ACCOUNT_DIFFERS, account=name, server=server, detail=detail)


def _write_stated(conn: psycopg.Connection, name: str, stated: dict[str, Any]) -> None:
    execute(
        conn, "UPDATE accounts SET stated = %(stated)s WHERE name = %(name)s", {"name": name, "stated": Jsonb(stated)}
    )


@in_transaction
def confirm_account(conn: psycopg.Connection, name: str, by: str) -> Account:
    """Somebody has found out that what the account's server says of its uid and mail is right."""
    record = account(conn, name)
    stated = (record.description or {}).get("stated")
    if stated is None:
        raise RegistryRefused(f"{record.server} has said nothing of {name} yet: let the registry ask it first.")
    if stated != record.stated:
        _write_stated(conn, name, stated)
        detail = {"was": record.stated, "is": stated}
        event(conn, EventKind.ACCOUNT_CONFIRMED, account=name, server=record.server, by=by, detail=detail)
    return account(conn, name)


def _domains(entry: Mapping[str, Any]) -> list[str]:
    """Its host names; what stands for all names below one of them is none."""
    names = (name for site in entry.get("sites") or () for name in (site["domain"], *site.get("aliases", ())))
    return [name for name in names if not name.startswith("*.")]


def _moving_to(conn: psycopg.Connection, account: str, server: str) -> bool:
    """Between a host's commit and the registry's, the host is ahead."""
    moving: bool = value(
        conn,
        """
        SELECT EXISTS (SELECT FROM live_moves WHERE account = %(account)s AND to_server = %(server)s)
        """,
        {"account": account, "server": server},
    )
    return moving


GONE_FOR = timedelta(minutes=10)
"""So far apart are the two looks at a server after which an account is taken for removed."""


@in_transaction
def note_missing(
    conn: psycopg.Connection, server: str, logins: Collection[str], left_of: Callable[[Account], list[str]]
) -> list[str]:
    """Take over which accounts a server has no longer: `logins` are those that it has, in any state, readable or not.
    An account that two looks have missed, and that a migration waits for, is removed, unless something of it is there
    still: `left_of` says what. A server that nobody migrates may just have an older disk. Gives a sentence on each
    that is gone."""
    execute(
        conn,
        """
        UPDATE accounts SET missing_since = NULL
        WHERE server = %(server)s AND login = ANY(%(logins)s) AND missing_since IS NOT NULL
        """,
        {"server": server, "logins": [*logins]},
    )
    gone = conn.execute(
        """
        SELECT name, missing_since, now() - missing_since >= %(gone_for)s,
            EXISTS (SELECT FROM live_migrations WHERE server = a.home_server)
        FROM accounts a
        WHERE server = %(server)s AND login <> ALL(%(logins)s) AND removed_at IS NULL
            AND NOT EXISTS (SELECT FROM live_moves WHERE account = a.name)
        ORDER BY name FOR UPDATE
        """,
        {"server": server, "logins": [*logins], "gone_for": GONE_FOR},
    ).fetchall()
    return [
        _gone(conn, server, name, since, long_enough and waited_for, left_of(account(conn, name)))
        for name, since, long_enough, waited_for in gone
    ]


def _gone(conn: psycopg.Connection, server: str, name: str, since: datetime | None, over: bool, left: list[str]) -> str:
    if since is None:
        execute(conn, "UPDATE accounts SET missing_since = now() WHERE name = %(name)s", {"name": name})
        event(conn, EventKind.ACCOUNT_MISSING, account=name, server=server, detail={"left": left})
    if left:
        return (
            f"{server} itself has no account {name} any more, but there still is {', '.join(left)}: remove that, or "
            "make it the account again; until then it is waited for."
        )
    if not over:
        return (
            f"{server} itself has no account {name} any more: find out who has removed it. A migration waits for it "
            "until the next look says so too."
        )
    remove_account(conn, name, f"{server} itself has not had it since {since:%Y-%m-%d %H:%M} UTC.", by=server)
    return f"{server} itself has no account {name} any more: it was removed, and nobody waits for it."


@in_transaction
def remove_account(conn: psycopg.Connection, name: str, reason: str, by: str) -> None:
    """Note that the customer or ops removed an account from its server: nobody waits for it any more. What its tests
    found goes with it: another account of that name, perhaps somebody else's, has not been tested."""
    record = account(conn, name)
    if record.removed_at is not None:
        return
    execute(conn, "UPDATE accounts SET removed_at = now() WHERE name = %(name)s", {"name": name})
    execute(conn, "DELETE FROM account_engines WHERE account = %(name)s", {"name": name})
    execute(
        conn,
        """
        UPDATE tests SET report = NULL, blockers = NULL, warnings = NULL, tested_at = NULL
        WHERE account = %(name)s AND tested_at IS NOT NULL
        """,
        {"name": name},
    )
    event(conn, EventKind.ACCOUNT_REMOVED, account=name, server=record.server, by=by, detail={"reason": reason})
