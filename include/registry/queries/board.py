"""What the board's front page shows, each in one query whatever the number of servers. Nothing here changes anything.

Times of leases follow billing's clock and corrections, so that the board and the bill tell the same days.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import psycopg

from include.registry.database import in_transaction, rows, value
from include.registry.events import COLUMNS as EVENT_COLUMNS
from include.registry.events import Event
from include.registry.kinds import EventKind

FIRST_PAGE = 1


@dataclass(frozen=True)
class UnderWay:
    """A migration that is not over. `free_until`: when its lease begins to cost; `place`: in the queue of its plan.
    `left`: how many of its `accounts` live on the transit."""

    id: int
    server: str
    kind: str
    customer: str | None
    plan: str
    entry: str
    transit: str | None
    run_id: str
    state: str
    state_since: datetime
    handed_over_at: datetime | None
    free_until: datetime | None
    billed_until: datetime | None
    place: int | None
    of: int | None
    accounts: int
    left: int


@dataclass(frozen=True)
class Finished:
    """A shared server that is being finished, and the run that does it."""

    server: str
    run_id: str


@dataclass(frozen=True)
class PoolTransit:
    """A transit of the pool, whom it is for now, and until when its lease is free of charge. `free_days`: those of
    the lease, or those that it would have if it were handed over now."""

    name: str
    plan: str
    state: str
    state_since: datetime
    paused_because: str | None
    reserved_for: str | None
    migration: int | None
    server: str | None
    customer: str | None
    free_days: int
    free_until: datetime | None
    billed_until: datetime | None


@dataclass(frozen=True)
class Moving:
    """An account's copy or move that is at work, or its newest move, returned. `direction`: out, home, over, or test
    (a copy to a test server). `typical_seconds`: how long the same took for this account, or else for others of late;
    None before any has ended."""

    id: int
    account: str
    server: str
    customer: str | None
    from_server: str
    to_server: str
    direction: str
    run_id: str
    state: str
    state_since: datetime
    began_at: datetime
    typical_seconds: float | None


@dataclass(frozen=True)
class Listed:
    """A server in the list. `state`: its migration's state while one is under way, else its own; `of`: how many
    servers the whole list has."""

    name: str
    kind: str
    plan: str
    customer: str | None
    infrastructure: str
    state: str
    since: datetime
    migration: int | None
    transit: str | None
    accounts: int
    left: int
    of: int


@dataclass(frozen=True)
class Due:
    """What the leases cost on one day, in one currency. `billed`: it stands in the ledger already."""

    day: date
    leases: int
    amount: Decimal
    currency: str
    billed: bool


_LIVING = """
    SELECT home_server, count(*) AS accounts, count(*) FILTER (WHERE server <> home_server) AS left_it
    FROM accounts WHERE removed_at IS NULL GROUP BY home_server
"""


@in_transaction
def now(conn: psycopg.Connection) -> datetime:
    """The present moment by billing's clock."""
    instant: datetime = value(conn, "SELECT billing_now()")
    return instant


@in_transaction
def finishing(conn: psycopg.Connection) -> list[Finished]:
    """The shared servers whose end was asked for within a month and is not there yet, by the run that asked last."""
    return rows(
        conn,
        Finished,
        """
        SELECT server, run_id FROM (
            SELECT DISTINCT ON (server) server, detail ->> 'run_id' AS run_id FROM events
            WHERE kind = %(asked)s AND at > now() - interval '1 month' ORDER BY server, id DESC
        ) a
        WHERE NOT EXISTS (
            SELECT FROM events e
            WHERE e.kind = %(finished)s AND e.server = a.server AND e.detail ->> 'run_id' = a.run_id
        )
        ORDER BY server
        """,
        {"asked": EventKind.SERVER_FINISH_ASKED, "finished": EventKind.SERVER_FINISHED},
    )


@in_transaction
def last_event(conn: psycopg.Connection) -> int:
    """The id of the newest event; 0 before the first."""
    id: int = value(conn, "SELECT coalesce(max(id), 0) FROM events")
    return id


@in_transaction
def latest_events(conn: psycopg.Connection, most: int = 12) -> list[Event]:
    """The newest events, newest first; without those of single names, of which every step has many."""
    return rows(
        conn,
        Event,
        f"SELECT {EVENT_COLUMNS} FROM events WHERE kind NOT LIKE 'name.%%' ORDER BY id DESC LIMIT %(most)s",
        {"most": most},
    )


@in_transaction
def under_way(conn: psycopg.Connection) -> list[UnderWay]:
    """Every migration that is not over, oldest first."""
    return rows(
        conn,
        UnderWay,
        f"""
        SELECT m.id, m.server, s.kind, s.customer, s.plan, m.entry, m.transit, m.run_id, m.state, m.state_since,
            l.handed_over_at, l.free_until, l.billed_until, q.place, q.of,
            coalesce(a.accounts, 0) AS accounts, coalesce(a.left_it, 0) AS left
        FROM live_migrations m
            JOIN servers s ON s.name = m.server
            LEFT JOIN billing_leases l ON l.migration = m.id
            LEFT JOIN ({_LIVING}) a ON a.home_server = m.server
            LEFT JOIN (
                SELECT migration, row_number() OVER (PARTITION BY plan ORDER BY rank, id) AS place,
                    count(*) OVER (PARTITION BY plan) AS of
                FROM transit_requests WHERE state = 'waiting'
            ) q ON q.migration = m.id
        ORDER BY m.id
        """,
    )


@in_transaction
def pool(conn: psycopg.Connection) -> list[PoolTransit]:
    """Every transit, by plan and name."""
    return rows(
        conn,
        PoolTransit,
        """
        SELECT t.name, t.plan, t.state, t.state_since, t.paused_because, t.reserved_for, m.id AS migration, m.server,
            s.customer, coalesce(l.free_days, billing_free_days()) AS free_days, l.free_until, l.billed_until
        FROM servers t
            LEFT JOIN transit_requests r ON r.transit = t.name AND r.state = 'assigned'
            LEFT JOIN migrations m ON m.id = r.migration
            LEFT JOIN servers s ON s.name = m.server
            LEFT JOIN billing_leases l ON l.migration = m.id
        WHERE t.kind = 'transit' AND t.state <> 'removed' ORDER BY t.plan, length(t.name), t.name
        """,
    )


@in_transaction
def moving(conn: psycopg.Connection) -> list[Moving]:
    """Copies and moves at work, and accounts whose newest move returned: of a migration that goes on, or in the last
    week. Oldest first."""
    return rows(
        conn,
        Moving,
        """
        WITH took AS MATERIALIZED (
            (SELECT account, 'move' AS what, extract(epoch FROM committed_at - began_at)::float8 AS seconds
            FROM moves WHERE committed_at IS NOT NULL ORDER BY id DESC LIMIT 500)
            UNION ALL
            (SELECT account, 'test', extract(epoch FROM tested_at - began_at)::float8
            FROM tests WHERE tested_at IS NOT NULL ORDER BY id DESC LIMIT 500)
        ), usual AS MATERIALIZED (
            SELECT what, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds FROM took GROUP BY what
        ), own AS MATERIALIZED (
            SELECT account, what, avg(seconds) AS seconds FROM took GROUP BY account, what
        ), at_work AS (
            SELECT v.id, v.account, v.original AS server, v.from_server, v.to_server, v.direction, v.run_id, v.state,
                v.state_since, v.began_at, 'move' AS what
            FROM moves v LEFT JOIN live_migrations m ON m.id = v.migration
            WHERE v.state <> 'done'
                AND (v.state <> 'returned' OR m.id IS NOT NULL
                    OR v.migration IS NULL AND v.state_since > now() - interval '7 days')
                AND NOT EXISTS (SELECT FROM moves later WHERE later.account = v.account AND later.id > v.id)
            UNION ALL
            SELECT t.id, t.account, a.home_server, a.server, t.server, 'test', t.run_id, t.state, t.state_since,
                t.began_at, 'test'
            FROM tests t JOIN accounts a ON a.name = t.account WHERE t.state IN ('preparing', 'copying')
        )
        SELECT w.id, w.account, w.server, coalesce(s.customer, a.customer) AS customer, w.from_server, w.to_server,
            w.direction, w.run_id, w.state, w.state_since, w.began_at,
            coalesce(own.seconds, usual.seconds) AS typical_seconds
        FROM at_work w
            JOIN servers s ON s.name = w.server
            JOIN accounts a ON a.name = w.account
            LEFT JOIN own ON own.account = w.account AND own.what = w.what
            LEFT JOIN usual ON usual.what = w.what
        ORDER BY w.began_at, w.id
        """,
    )


@in_transaction
def listed(
    conn: psycopg.Connection,
    state: str | None = None,
    text: str | None = None,
    page: int = FIRST_PAGE,
    most: int = 50,
) -> list[Listed]:
    """One page of the servers that are no transits, by name: those in one state, and those of which their own name,
    their customer's or an account's contains `text`."""
    return rows(
        conn,
        Listed,
        f"""
        SELECT s.name, s.kind, s.plan, s.customer, s.infrastructure, coalesce(m.state, s.state) AS state,
            coalesce(m.state_since, s.state_since) AS since, m.id AS migration, m.transit,
            coalesce(a.accounts, 0) AS accounts, coalesce(a.left_it, 0) AS left, count(*) OVER () AS of
        FROM servers s
            LEFT JOIN live_migrations m ON m.server = s.name
            LEFT JOIN ({_LIVING}) a ON a.home_server = s.name
        WHERE s.kind <> 'transit' AND s.state <> 'removed'
            AND (%(state)s::text IS NULL OR coalesce(m.state, s.state) = %(state)s)
            AND (%(text)s::text IS NULL OR strpos(s.name, lower(%(text)s)) > 0
                OR strpos(lower(s.customer), lower(%(text)s)) > 0
                OR s.name IN (
                    SELECT home_server FROM accounts WHERE removed_at IS NULL AND strpos(name, lower(%(text)s)) > 0
                ))
        ORDER BY s.name LIMIT %(most)s OFFSET %(skipped)s
        """,
        {"state": state or None, "text": text or None, "most": most, "skipped": (page - FIRST_PAGE) * most},
    )


@in_transaction
def states(conn: psycopg.Connection) -> dict[str, int]:
    """How many servers that are no transits stand in each state."""
    with conn.cursor() as cursor:
        return dict(
            cursor.execute(
                """
                SELECT coalesce(m.state, s.state), count(*)
                FROM servers s
                    LEFT JOIN live_migrations m ON m.server = s.name
                WHERE s.kind <> 'transit' AND s.state <> 'removed' GROUP BY 1
                """
            ).fetchall()
        )


@in_transaction
def charges_today(conn: psycopg.Connection) -> list[Due]:
    """What leases cost on the present day, by currency: as the ledger has it once that day is billed, else by today's
    prices."""
    return rows(
        conn,
        Due,
        """
        WITH today AS MATERIALIZED (SELECT coalesce(billing_date_of(billing_now()), billing_now()::date) AS day)
        SELECT t.day, count(DISTINCT e.lease) AS leases, sum(e.amount) AS amount, e.currency, true AS billed
        FROM ledger_entries e JOIN today t ON t.day = e.day GROUP BY t.day, e.currency
        UNION ALL
        SELECT t.day, count(*), sum(p.amount), p.currency, false
        FROM today t
            JOIN billing_leases l ON l.free_until <= billing_now()
                AND (l.billed_until IS NULL OR l.billed_until > billing_now())
            JOIN LATERAL (SELECT * FROM billing_prices(t.day, t.day)) p ON p.plan = l.plan AND p.day = t.day
        WHERE NOT EXISTS (SELECT FROM billing_days b WHERE b.day = t.day)
        GROUP BY t.day, p.currency
        ORDER BY currency
        """,
    )


@dataclass(frozen=True)
class RunningCampaign:
    """A campaign that is not over, or was in the last week. `accounts`: how many stand in each state; `wave` of
    `waves`: the first that has not ended; `not_moved`: {"account", "reason"} of the first of those that were left or
    have failed."""

    id: int
    entry: str
    title: str
    run_id: str
    state: str
    state_since: datetime
    why: str | None
    accounts: dict[str, int]
    wave: int
    waves: int
    not_moved: list[dict[str, str]]


@in_transaction
def campaigns(conn: psycopg.Connection) -> list[RunningCampaign]:
    """The campaigns of now, newest first."""
    return rows(
        conn,
        RunningCampaign,
        """
        SELECT c.id, c.entry, e.title, c.run_id, c.state, c.state_since, c.why,
            coalesce(a.accounts, '{}') AS accounts, coalesce(w.wave, w.waves, 0) AS wave, coalesce(w.waves, 0) AS waves,
            coalesce(n.not_moved, '[]') AS not_moved
        FROM campaigns c
            JOIN catalogue e ON e.name = c.entry
            LEFT JOIN LATERAL (
                SELECT jsonb_object_agg(state, many) AS accounts
                FROM (SELECT state, count(*) AS many FROM campaign_accounts WHERE campaign = c.id GROUP BY state) s
            ) a ON true
            LEFT JOIN LATERAL (
                SELECT max(wave) AS waves, (SELECT min(wave) FROM live_campaign_accounts WHERE campaign = c.id) AS wave
                FROM campaign_accounts WHERE campaign = c.id
            ) w ON true
            LEFT JOIN LATERAL (
                SELECT jsonb_agg(jsonb_build_object('account', account, 'reason', reason) ORDER BY account) AS not_moved
                FROM (
                    SELECT account, reason FROM campaign_accounts
                    WHERE campaign = c.id AND state IN ('left', 'failed') AND reason IS NOT NULL
                    ORDER BY account LIMIT 50
                ) listed
            ) n ON true
        WHERE c.ended_at IS NULL OR c.ended_at > now() - interval '7 days'
        ORDER BY c.id DESC LIMIT 20
        """,
    )
