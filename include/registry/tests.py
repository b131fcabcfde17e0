"""Tests: a copy of an account, or of one engine's databases, on a test server of the new version. Never a move."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include.registry import choice, states
from include.registry.accounts import account as account_named
from include.registry.accounts import next_epoch
from include.registry.catalogue import catalogue_entry
from include.registry.database import RegistryRefused, column, execute, in_transaction, row, rows, value
from include.registry.events import event
from include.registry.kinds import EventKind, ServerKind
from include.registry.servers import server as server_named
from include.registry.states import TestState

ABANDONED = timedelta(days=2)
"""A copy that is not ready after this long was left behind by a run that is no more."""

COLUMNS = """
    id, key, account, entry, server, epoch, run_id, requested_by, state, state_since, names, expires_at, report,
    blockers, warnings, failure, began_at, tested_at, ended_at,
    (SELECT login FROM accounts WHERE name = account) AS login
"""
_AT_WORK = (TestState.PREPARING, TestState.COPYING)


@dataclass(frozen=True)
class Test:
    """A copy of an account on a test server, for its customer to look at before they perform.

    `key` is what hosts call it, in place of a move, as `login` is what they call the account; `server` is the test
    server; `names` is {site domain: test name}; `report`, `blockers` and `warnings` stand from `tested_at` on, also
    when the copy is gone; `failure` is why it was removed before it was ready."""

    __test__ = False  # no test of pytest's

    id: int
    key: str
    account: str
    entry: str
    server: str
    epoch: int
    run_id: str
    requested_by: str
    state: str
    state_since: datetime
    names: dict[str, str]
    expires_at: datetime | None
    report: dict[str, Any] | None
    blockers: int | None
    warnings: int | None
    failure: str | None
    began_at: datetime
    tested_at: datetime | None
    ended_at: datetime | None
    login: str


@in_transaction
def begin_test(conn: psycopg.Connection, account: str, entry: str, run_id: str, requested_by: str) -> Test:
    """Begin a test on the test server with most room; the same `run_id` gives the same row, and begins a removed one
    again with a new epoch, perhaps on another server. Refuses an unknown account or entry, an account that does not run
    what the entry starts from, that is being moved or has another copy (see `replace_test`), and when no test server
    of the entry's version has room."""
    execute(conn, "SELECT FROM accounts WHERE name = %(name)s FOR UPDATE", {"name": account})
    living = account_named(conn, account)
    wanted = catalogue_entry(conn, entry)
    same = row(conn, Test, f"SELECT {COLUMNS} FROM tests WHERE run_id = %(run)s", {"run": run_id})
    if same is not None:
        if (same.account, same.entry) != (account, entry):
            raise RegistryRefused(f"Run {run_id} tests {same.account} for {same.entry}: give each test its own run.")
        if same.state != TestState.REMOVED:
            return same
    other = live_test_of(conn, account)
    if other is not None:
        raise RegistryRefused(
            f"Account {account} has another test copy ({other.key}, {other.state}): let that end first."
        )
    choice.lock(conn)
    servers = choice.choices(conn, ServerKind.TEST, wanted, account)
    if not servers:
        runs = value(conn, "SELECT account_runs(%(name)s, %(kind)s)", {"name": account, "kind": wanted.kind})
        if runs != wanted.from_version:
            raise RegistryRefused(
                f"Account {account} runs on {wanted.kind} {runs or 'unknown'}, but {entry} starts from"
                f" {wanted.from_version}: choose another entry of the catalogue."
            )
        raise RegistryRefused(
            f"No test server{server_named(conn, living.server).in_site} with {wanted.kind} {wanted.to_version}"
            f"{choice.of_its_layout(conn, ServerKind.TEST, account)} has room for {account}: add one, or let older test"
            " copies expire."
        )
    server, taken = choice.first_that_fits(conn, [one.name for one in servers], account, wanted.kind)
    if server is None:
        raise RegistryRefused(
            f"Account {account} cannot be tested beside the copies that are there: {taken[0]}. Let that copy expire, or"
            " add a test server."
        )
    id = value(
        conn,
        """
        INSERT INTO tests AS t (account, entry, server, epoch, run_id, requested_by, state)
        VALUES (%(account)s, %(entry)s, %(server)s, %(epoch)s, %(run)s, %(by)s, 'preparing')
        ON CONFLICT (run_id) DO UPDATE SET state = excluded.state, server = excluded.server, epoch = excluded.epoch,
            names = '{}', expires_at = NULL, failure = NULL
        RETURNING id
        """,
        {
            "account": account,
            "entry": entry,
            "server": server,
            "epoch": next_epoch(conn, account),
            "run": run_id,
            "by": requested_by,
        },
    )
    begun = test(conn, id)
    detail = {"entry": entry, "to": begun.server, "epoch": begun.epoch, "run_id": run_id}
    _log(conn, begun, EventKind.TEST_BEGAN, detail, requested_by)
    return begun


@in_transaction
def replace_test(conn: psycopg.Connection, account: str, run_id: str) -> Test | None:
    """Make room for a new test of the account by the run `run_id`: a copy that is ready is now `removing`. Gives the
    copy that the caller has to remove from its server, and then to advance to `removed`, before it begins; None when
    there is none. Refuses while another run is at work on one. Can be repeated."""
    execute(conn, "SELECT FROM accounts WHERE name = %(name)s FOR UPDATE", {"name": account})
    live = live_test_of(conn, account)
    if live is None or live.run_id == run_id and live.state != TestState.REMOVING:
        return None
    if live.state in _AT_WORK:
        raise RegistryRefused(f"Account {account} is being tested already (run {live.run_id}): follow that run.")
    return advance_test(conn, live.id, TestState.REMOVING)


@in_transaction
def test(conn: psycopg.Connection, id: int) -> Test:
    """A test; refuses an unknown id."""
    record = row(conn, Test, f"SELECT {COLUMNS} FROM tests WHERE id = %(id)s", {"id": id})
    if record is None:
        raise RegistryRefused(f"There is no test {id}: check its id.")
    return record


@in_transaction
def live_test_of(conn: psycopg.Connection, account: str) -> Test | None:
    """The test whose copy of the account is there, or may be; None when there is none."""
    return row(conn, Test, f"SELECT {COLUMNS} FROM live_tests WHERE account = %(name)s", {"name": account})


@in_transaction
def latest_test_of(conn: psycopg.Connection, account: str, entry: str) -> Test | None:
    """The newest test of the account for the entry that has a report; the gate goes by it. None before the first."""
    return row(
        conn,
        Test,
        f"""
        SELECT {COLUMNS} FROM tests WHERE account = %(account)s AND entry = %(entry)s AND tested_at IS NOT NULL
        ORDER BY tested_at DESC, id DESC LIMIT 1
        """,
        {"account": account, "entry": entry},
    )


@in_transaction
def tests_of(conn: psycopg.Connection, account: str) -> list[Test]:
    """The account's tests, newest first."""
    return rows(conn, Test, f"SELECT {COLUMNS} FROM tests WHERE account = %(name)s ORDER BY id DESC", {"name": account})


@in_transaction
def expired_tests(conn: psycopg.Connection, now: datetime) -> list[Test]:
    """The copies to remove: expired ones, those whose removal was begun and not ended, and those that a run has left
    unfinished for `ABANDONED`. Oldest first."""
    return rows(
        conn,
        Test,
        f"""
        SELECT {COLUMNS} FROM tests
        WHERE state = 'ready' AND expires_at <= %(now)s OR state = 'removing'
            OR state IN ('preparing', 'copying') AND state_since <= %(now)s - %(abandoned)s
        ORDER BY id
        """,
        {"now": now, "abandoned": ABANDONED},
    )


@in_transaction
def advance_test(
    conn: psycopg.Connection,
    id: int,
    state: str,
    *,
    names: dict[str, str] | None = None,
    expires_at: datetime | None = None,
    failure: str | None = None,
) -> Test:
    """Bring a test to its next state: preparing, copying, ready, removing, removed. Nothing happens when it is there
    already or past. `ready` needs `expires_at`; `names` and `failure` are kept when they are given."""
    execute(conn, "SELECT FROM tests WHERE id = %(id)s FOR UPDATE", {"id": id})
    before = test(conn, id)
    if states.TEST.there_or_past(before.state, state):
        return before
    execute(
        conn,
        """
        UPDATE tests SET state = %(state)s, names = coalesce(%(names)s, names),
            expires_at = coalesce(%(expires)s, expires_at), failure = coalesce(%(failure)s, failure)
        WHERE id = %(id)s
        """,
        {
            "id": id,
            "state": state,
            "names": None if names is None else Jsonb(names),
            "expires": expires_at,
            "failure": failure,
        },
    )
    after = test(conn, id)
    detail = {"names": names, "expires_at": expires_at and expires_at.isoformat(), "failure": failure}
    _log(conn, after, EventKind(f"test.{state}"), {key: value for key, value in detail.items() if value is not None})
    return after


@in_transaction
def record_test_report(conn: psycopg.Connection, id: int, report: dict[str, Any], blockers: int, warnings: int) -> Test:
    """Keep what the test found, and how much of it: from now on the gate goes by it. Refuses a copy that is not there
    to be looked at. A repeated one replaces the report."""
    changed = execute(
        conn,
        """
        UPDATE tests SET report = %(report)s, blockers = %(blockers)s, warnings = %(warnings)s, tested_at = now()
        WHERE id = %(id)s AND state IN ('copying', 'ready')
        """,
        {"id": id, "report": Jsonb(report), "blockers": blockers, "warnings": warnings},
    )
    record = test(conn, id)
    if not changed:
        raise RegistryRefused(
            f"Test {record.key} is {record.state}: a report is made of a copy that is there; test again."
        )
    _log(conn, record, EventKind.TEST_REPORTED, {"blockers": blockers, "warnings": warnings})
    return record


@in_transaction
def untested(conn: psycopg.Connection, server: str, entry: str) -> list[str]:
    """The gate: who was not tested for an entry, or whose newest test found blockers, is not performed through it.

    One sentence for each such account that belongs to the server; empty: all may be performed."""
    return column(
        conn,
        """
        SELECT untested(
            ARRAY(SELECT name FROM accounts WHERE home_server = %(server)s AND removed_at IS NULL), %(entry)s
        )
        """,
        {"server": server, "entry": entry},
    )


def _log(conn: psycopg.Connection, test: Test, kind: EventKind, detail: dict[str, Any], by: str | None = None) -> None:
    event(conn, kind, account=test.account, server=test.server, by=by, detail={"test": test.id, **detail})
