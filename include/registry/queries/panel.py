"""What the panel's API asks of the registry, one customer at a time: whose a server or an account is, what
happened to it, and how long the like of it took before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from include.registry.accounts import COLUMNS as ACCOUNT
from include.registry.accounts import Account
from include.registry.catalogue import COLUMNS as ENTRY
from include.registry.catalogue import Entry
from include.registry.database import in_transaction, row, rows, value
from include.registry.events import COLUMNS as EVENT
from include.registry.events import Event, settled
from include.registry.kinds import EventKind
from include.registry.migrations import COLUMNS as MIGRATION
from include.registry.migrations import Migration
from include.registry.moves import COLUMNS as MOVE
from include.registry.moves import Move
from include.registry.servers import COLUMNS as SERVER
from include.registry.servers import Server

USUAL = 20
"""So many of the last ones tell what is usual."""


@in_transaction
def is_customer(conn: psycopg.Connection, name: str) -> bool:
    """Whether anything is, or was, this customer's."""
    known: bool = value(
        conn,
        """
        SELECT EXISTS (SELECT FROM accounts WHERE customer = %(name)s)
            OR EXISTS (SELECT FROM servers WHERE customer = %(name)s)
            OR EXISTS (SELECT FROM customers WHERE name = %(name)s)
        """,
        {"name": name},
    )
    return known


@in_transaction
def servers_with_accounts(
    conn: psycopg.Connection, customer: str | None = None, after: str = "", limit: int = 100
) -> list[Server]:
    """Servers that accounts belong to (no transit, no test server), by name from behind `after`; of one customer, or
    all."""
    return rows(
        conn,
        Server,
        f"""
        SELECT {SERVER} FROM servers
        WHERE kind IN ('shared', 'dedicated', 'vps', 'database') AND state <> 'removed' AND name > %(after)s
            AND (%(customer)s::text IS NULL OR customer = %(customer)s)
        ORDER BY name LIMIT %(limit)s
        """,
        {"customer": customer, "after": after, "limit": limit},
    )


@in_transaction
def server_of_customer(conn: psycopg.Connection, name: str, customer: str | None) -> Server | None:
    """The server if it is the customer's (any that accounts belong to, without one); else None."""
    return row(
        conn,
        Server,
        f"""
        SELECT {SERVER} FROM servers
        WHERE name = %(name)s AND kind IN ('shared', 'dedicated', 'vps', 'database') AND state <> 'removed'
            AND (%(customer)s::text IS NULL OR customer = %(customer)s)
        """,
        {"name": name, "customer": customer},
    )


# Whose an account is: its server's customer, or its own on a shared server.
_OWNED = """
    accounts a WHERE a.removed_at IS NULL AND (%(customer)s::text IS NULL
        OR %(customer)s = coalesce((SELECT s.customer FROM servers s WHERE s.name = a.home_server), a.customer))
"""


@in_transaction
def accounts_of_customer(
    conn: psycopg.Connection, customer: str | None = None, after: str = "", limit: int = 100
) -> list[Account]:
    """Accounts by name from behind `after`; of one customer, or all."""
    return rows(
        conn,
        Account,
        f"SELECT {ACCOUNT} FROM {_OWNED} AND a.name > %(after)s ORDER BY name LIMIT %(limit)s",
        {"customer": customer, "after": after, "limit": limit},
    )


@in_transaction
def account_of_customer(conn: psycopg.Connection, name: str, customer: str | None) -> Account | None:
    """The account if it is the customer's (any, without one); else None."""
    return row(
        conn,
        Account,
        f"SELECT {ACCOUNT} FROM {_OWNED} AND a.name = %(name)s",
        {"name": name, "customer": customer},
    )


# An entry is open from a day on, which begins at the host's own midnight.
_OPEN = "(c.opens IS NULL OR c.opens <= coalesce(billing_date_of(billing_now()), current_date))"


@in_transaction
def open_to_account(conn: psycopg.Connection, account: str) -> list[Entry]:
    """The entries of the catalogue that are open to an account: they start from what it runs. The most urgent first."""
    return rows(
        conn,
        Entry,
        f"""
        SELECT {ENTRY} FROM catalogue c
        WHERE {_OPEN} AND c.from_version = account_runs(%(account)s, c.kind)
            AND (c.kind = 'infrastructure' OR EXISTS (
                SELECT FROM accounts a JOIN servers s ON s.name = a.server
                WHERE a.name = %(account)s AND s.kind = 'shared'))
        ORDER BY deadline, name
        """,
        {"account": account},
    )


@in_transaction
def open_to_server(conn: psycopg.Connection, server: str) -> list[Entry]:
    """The entries that a dedicated server or VPS can go through; none for others, whose accounts go one by one."""
    return rows(
        conn,
        Entry,
        f"""
        SELECT {ENTRY} FROM catalogue c
        WHERE {_OPEN} AND c.kind = 'infrastructure' AND c.from_version = server_runs(%(server)s, c.kind)
            AND EXISTS (SELECT FROM servers WHERE name = %(server)s AND kind IN ('dedicated', 'vps'))
        ORDER BY deadline, name
        """,
        {"server": server},
    )


@in_transaction
def untested_account(conn: psycopg.Connection, account: str, entry: str) -> str | None:
    """What the gate says of one account: see `untested`; None when it lets it through."""
    sentence: str | None = value(
        conn, "SELECT untested(ARRAY[%(account)s], %(entry)s)", {"account": account, "entry": entry}
    )
    return sentence


@in_transaction
def live_migrations(conn: psycopg.Connection, servers: Sequence[str]) -> dict[str, Migration]:
    """The live migration of each of these servers that has one."""
    migrations = rows(
        conn,
        Migration,
        f"""
        SELECT {MIGRATION} FROM live_migrations
        WHERE server = ANY (%(servers)s)
        """,
        {"servers": list(servers)},
    )
    return {migration.server: migration for migration in migrations}


@in_transaction
def live_moves(conn: psycopg.Connection, accounts: Sequence[str]) -> dict[str, Move]:
    """The live move of each of these accounts that is in one."""
    moves = rows(
        conn,
        Move.of_row,
        f"""
        SELECT {MOVE} FROM live_moves WHERE account = ANY (%(accounts)s)
        """,
        {"accounts": list(accounts)},
    )
    return {move.account: move for move in moves}


@in_transaction
def last_migration_of(conn: psycopg.Connection, server: str) -> Migration | None:
    """The newest migration of a server, whatever became of it; None when it never had one."""
    return row(
        conn,
        Migration,
        f"SELECT {MIGRATION} FROM migrations WHERE server = %(server)s ORDER BY id DESC LIMIT 1",
        {"server": server},
    )


@in_transaction
def asked_not_begun(conn: psycopg.Connection, account: str) -> tuple[str, str] | None:
    """The run (DAG, run id) that was asked for last to perform the account, if nothing of it has begun."""
    with conn.cursor() as cursor:
        return cursor.execute(
            """
            SELECT dag, run_id FROM (
                SELECT detail ->> 'dag' AS dag, detail ->> 'run_id' AS run_id FROM events
                WHERE account = %(account)s AND kind = %(kind)s ORDER BY id DESC LIMIT 1
            ) asked WHERE NOT EXISTS (SELECT FROM moves m WHERE m.run_id = asked.run_id)
            """,
            {"account": account, "kind": EventKind.PERFORM_ASKED},
        ).fetchone()


@dataclass(frozen=True)
class Failure:
    """How the last attempt to move an account failed: which run, its task and sentence, and whether the account had
    moved by then."""

    dag: str
    run_id: str
    task: str
    why: str
    moved: bool


@in_transaction
def last_failure(conn: psycopg.Connection, account: str) -> Failure | None:
    """How the last attempt to move the account failed, or was refused; None when none was made since it last did, and
    before the first. The end of a run's path is asked last, since it fails only after something else."""
    return row(
        conn,
        Failure,
        """
        WITH began AS (
            SELECT coalesce(max(id), 0) AS id FROM events WHERE account = %(account)s AND kind = 'move.began'
        )
        SELECT detail ->> 'dag' AS dag, detail ->> 'run_id' AS run_id, detail ->> 'task' AS task,
            detail ->> 'why' AS why, EXISTS (
                SELECT FROM events c WHERE c.account = %(account)s AND c.kind = 'move.committed' AND c.id > began.id
            ) AS moved
        FROM events e, began
        WHERE account = %(account)s AND kind = %(kind)s AND e.id > began.id
            AND detail ->> 'dag' IN ('move_account', 'migrate_account')
        ORDER BY detail ->> 'task' = 'close_path', e.id DESC LIMIT 1
        """,
        {"account": account, "kind": EventKind.RUN_FAILED},
    )


@in_transaction
def last_test_failure(conn: psycopg.Connection, account: str) -> Failure | None:
    """How the last test of the account failed, or was refused; None when its report was written, and once another has
    begun."""
    return row(
        conn,
        Failure,
        """
        SELECT detail ->> 'dag' AS dag, detail ->> 'run_id' AS run_id, detail ->> 'task' AS task,
            detail ->> 'why' AS why, false AS moved
        FROM events e
        WHERE account = %(account)s AND kind = %(kind)s AND detail ->> 'dag' = 'test_account' AND e.id > (
            SELECT coalesce(max(id), 0) FROM events WHERE account = %(account)s AND kind = 'test.began'
        ) AND NOT EXISTS (SELECT FROM tests t WHERE t.run_id = detail ->> 'run_id' AND t.tested_at IS NOT NULL)
        ORDER BY detail ->> 'task' = 'close_path', e.id DESC LIMIT 1
        """,
        {"account": account, "kind": EventKind.RUN_FAILED},
    )


@in_transaction
def refused_migration(conn: psycopg.Connection, server: str) -> Failure | None:
    """How the run that was to migrate the server was refused before it began; None when a migration has gone on
    since."""
    return row(
        conn,
        Failure,
        """
        SELECT detail ->> 'dag' AS dag, detail ->> 'run_id' AS run_id, detail ->> 'task' AS task,
            detail ->> 'why' AS why, false AS moved
        FROM events e
        WHERE server = %(server)s AND kind = %(kind)s AND detail ->> 'dag' = 'migrate_server'
            AND detail ->> 'task' = 'check_server' AND e.id > (
                SELECT coalesce(max(id), 0) FROM events WHERE server = %(server)s AND kind LIKE 'migration.%%'
            )
        ORDER BY e.id DESC LIMIT 1
        """,
        {"server": server, "kind": EventKind.RUN_FAILED},
    )


@dataclass(frozen=True)
class FreeDays:
    """When a transit was handed over, and until when it costs nothing (None before the host has a billing zone)."""

    handed_over_at: datetime
    free_until: datetime | None


@in_transaction
def free_days_of(conn: psycopg.Connection, migration: int) -> FreeDays | None:
    """The free days of the migration's lease; None before the hand-over."""
    return row(
        conn,
        FreeDays,
        """
        SELECT l.handed_over_at, b.free_until FROM leases l LEFT JOIN billing_leases b ON b.id = l.id
        WHERE l.migration = %(migration)s
        """,
        {"migration": migration},
    )


@in_transaction
def events_for(
    conn: psycopg.Connection,
    customer: str | None = None,
    account: str | None = None,
    server: str | None = None,
    kinds: Sequence[str] | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[Event]:
    """Events of a customer (None: of all) with an id above `after`, oldest first, at most `limit`: of an account, of a
    server (with its migrations and the accounts that belong to it), or of everything; of the `kinds` only, if given.
    Whoever goes on from the last one that they were given misses none: see `settled`."""
    return rows(
        conn,
        Event,
        f"""
        SELECT {EVENT} FROM events
        WHERE id > %(after)s AND id <= %(settled)s AND (%(kinds)s::text[] IS NULL OR kind = ANY (%(kinds)s))
            AND (%(customer)s::text IS NULL OR customer = %(customer)s)
            AND (%(account)s::text IS NULL OR account = %(account)s)
            AND (%(server)s::text IS NULL OR server = %(server)s
                OR migration IN (SELECT m.id FROM migrations m WHERE m.server = %(server)s)
                OR account IN (SELECT a.name FROM accounts a WHERE a.home_server = %(server)s))
        ORDER BY id LIMIT %(limit)s
        """,
        {
            "customer": customer,
            "account": account,
            "server": server,
            "kinds": None if kinds is None else list(kinds),
            "after": after,
            "settled": settled(conn),
            "limit": limit,
        },
    )


@in_transaction
def reached(conn: psycopg.Connection, migration: int) -> list[tuple[str, datetime]]:
    """When the migration came to each state that it was in: (state, time), oldest first."""
    with conn.cursor() as cursor:
        return cursor.execute(
            """
            SELECT substr(kind, 11), min(at) FROM events
            WHERE migration = %(migration)s AND kind LIKE 'migration.%%' GROUP BY kind ORDER BY min(id)
            """,
            {"migration": migration},
        ).fetchall()


@in_transaction
def usual_rest(conn: psycopg.Connection, state: str) -> timedelta | None:
    """How long the last migrations took from their coming to `state` to their end, in the median; None when none
    did. What waits for a customer is in it, so ask for states that do not."""
    duration: timedelta | None = value(
        conn,
        """
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ended.at - began.at)
        FROM (SELECT migration, at FROM events WHERE kind = 'migration.done' ORDER BY id DESC LIMIT %(usual)s) ended
            JOIN events began ON began.migration = ended.migration AND began.kind = 'migration.' || %(state)s
        """,
        {"state": state, "usual": USUAL},
    )
    return duration


@in_transaction
def usual_move(conn: psycopg.Connection, account: str) -> timedelta | None:
    """How long a move of this account takes, by its own earlier ones, else by the last of anybody's, in the median;
    None before the first."""
    duration: timedelta | None = value(
        conn,
        """
        WITH ended AS (
            SELECT account = %(account)s AS own, ended_at - began_at AS took FROM moves WHERE state = 'done'
            ORDER BY own DESC, id DESC LIMIT %(usual)s
        )
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took) FROM ended
        WHERE own OR NOT EXISTS (SELECT FROM ended WHERE own)
        """,
        {"account": account, "usual": USUAL},
    )
    return duration
