"""A day's bill for 1,000 to 1,000,000 leases: the statement, beside a loop over the same rows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import psycopg

from benchmarks.options import Options
from benchmarks.postgres import postgres
from benchmarks.report import Figure, Seconds, Table
from include.billing import apply_settings, bill_days
from include.registry import certain
from include.registry.schema import upgrade
from include.settings import Settings

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LOOP_UP_TO = 100_000
RUNS = 5
AIM = 30.0
FIRST = date(2026, 3, 10)
"""The first day that is billed; every lease was handed over in February and goes on."""

LEASES = """
INSERT INTO plans SELECT 'plan-' || i, 2, 4, 8 FROM generate_series(0, 19) i;
INSERT INTO plan_prices SELECT 'plan-' || i, 19.99 + i, 'EUR', '2026-01-01' FROM generate_series(0, 19) i;
INSERT INTO servers (name, kind, plan, infrastructure, customer, management_address, lan_address, lan_address6,
    state)
SELECT 'vps-' || i, 'vps', 'plan-' || i % 20, '2022', 'customer-' || i, '10.0.0.0'::inet + i,
    '10.64.0.0'::inet + i, 'fd30::'::inet + i, 'serving' FROM generate_series(1, {n}) i
UNION ALL
SELECT 'transit-' || i, 'transit', 'plan-' || i % 20, '2026', NULL, '10.32.0.0'::inet + i,
    '10.96.0.0'::inet + i, 'fd31::'::inet + i, 'handed_over' FROM generate_series(1, {n}) i;
INSERT INTO catalogue (name, title, kind, from_version, to_version)
VALUES ('debian-13', 'Debian 13', 'infrastructure', '2022', '2026');
INSERT INTO migrations (server, entry, from_infrastructure, to_infrastructure, transit, run_id, requested_by, state)
SELECT 'vps-' || i, 'debian-13', '2022', '2026', 'transit-' || i, 'run-' || i, 'bench', 'handed_over'
FROM generate_series(1, {n}) i;
INSERT INTO leases (migration, transit, server, plan, handed_over_at, expected_end_at)
SELECT id, transit, server, 'plan-' || id % 20, '2026-02-01 10:00+01'::timestamptz + id % 1000 * interval '1 minute',
    '2026-04-01 10:00+01' FROM migrations;
INSERT INTO billing_days VALUES ('2026-03-09', 0);
"""


def run(_options: Options, progress: Callable[[str], None]) -> Table:
    """Measure every size on a PostgreSQL of its own."""
    rows, figures = [], []
    per_lease: dict[int, float] = {}
    with postgres() as server:
        for size in SIZES:
            progress(f"{size:,} leases")
            dsn = _registry(server, size)
            with psycopg.connect(dsn) as conn:
                statement = _statement(conn, size)
                loop = _loop(conn, size) if size <= LOOP_UP_TO else None
                (version,) = certain(conn.execute("SHOW server_version").fetchone())
            with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as admin:
                admin.execute(f"DROP DATABASE registry_{size}")
            per_lease[size] = statement.median / size * 1e6
            rows.append(
                (
                    f"{size:,}",
                    str(statement),
                    f"{per_lease[size]:.1f}",
                    f"{loop:.3g}" if loop else "not run",
                    f"{loop / statement.median:.1f}" if loop else "-",
                )
            )
            figures.append(
                Figure(
                    f"one_day_{size}_leases",
                    round(statement.median, 4),
                    "s",
                    aim=f"< {AIM:g}" if size == SIZES[-1] else None,
                    met=statement.worst < AIM if size == SIZES[-1] else None,
                    beside={"loop": round(loop, 4)} if loop else {},
                )
            )
    growth = per_lease[SIZES[-1]] / per_lease[10_000]
    figures.append(
        Figure("cost_of_a_lease_1000000_to_10000", round(growth, 2), "times", aim="<= 1.5", met=growth <= 1.5)
    )
    return Table(
        title="A day's bill: seconds, median of 5 days one after the other (worst)",
        columns=("leases", "one statement", "us a lease", "a loop", "times slower"),
        rows=tuple(rows),
        notes=(
            f"PostgreSQL {version}, durable (fsync), on the same machine; each lease is charged, the outbox included.",
            "The loop: one INSERT a lease in one transaction, prices at hand; one day, commit included."
            f" Not run beyond {LOOP_UP_TO:,}.",
        ),
        figures=tuple(figures),
    )


def _registry(server: str, size: int) -> str:
    """A registry with `size` leases that are all due; the guards of their making are off, it is not measured."""
    with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE registry_{size}")
    dsn = f"{server} dbname=registry_{size}"
    upgrade(dsn)
    with psycopg.connect(dsn, autocommit=True) as conn:
        apply_settings(conn, Settings("Europe/Paris"))
        conn.execute("SET session_replication_role = replica")
        conn.execute(LEASES.format(n=size))
        conn.execute("SET session_replication_role = origin")
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")
    return dsn


def _statement(conn: psycopg.Connection, size: int) -> Seconds:
    taken = []
    for number in range(RUNS):
        day = FIRST + timedelta(days=number)
        now = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=6)
        began = time.perf_counter()
        billed = bill_days(conn, now=now)
        taken.append(time.perf_counter() - began)
        if billed.charges != size or billed.first != day:
            raise RuntimeError(f"the day {day} was billed wrong: {billed}")
    return Seconds(tuple(taken))


LOOP_READ = "SELECT id, plan, free_until, billed_until FROM billing_leases"
LOOP_WRITE = """
INSERT INTO ledger_entries (lease, day, number, kind, amount, currency, monthly_price)
VALUES (%s, %s, 0, 'charge', %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id
"""
LOOP_TELL = "INSERT INTO outbox (key, kind, payload) VALUES (%s, 'ledger.entries', %s)"


def _loop(conn: psycopg.Connection, size: int) -> float:
    """The same day's bill, lease by lease."""
    day = FIRST + timedelta(days=RUNS)
    began = time.perf_counter()
    entered = []
    with conn.transaction(), conn.cursor() as cursor:
        query = "SELECT begins, ends FROM billing_calendar(%s, %s)"
        begins, ends = certain(cursor.execute(query, (day, day)).fetchone())
        query = "SELECT plan, amount, currency, monthly_price FROM billing_prices(%s, %s)"
        prices = {plan: price for plan, *price in cursor.execute(query, (day, day)).fetchall()}
        for lease, plan, free_until, billed_until in cursor.execute(LOOP_READ).fetchall():
            if begins >= free_until and (billed_until is None or ends <= billed_until):
                amount, currency, monthly = prices[plan]
                written = cursor.execute(LOOP_WRITE, (lease, day, amount, currency, monthly)).fetchone()
                entered.append(certain(written)[0])
        for first in range(0, len(entered), 1000):
            page = entered[first : first + 1000]
            body = {"first": page[0], "last": page[-1], "entries": len(page)}
            cursor.execute(LOOP_TELL, (f"ledger-{page[0]}-{page[-1]}", json.dumps(body)))
    if len(entered) != size:
        raise RuntimeError(f"the loop charged {len(entered)} of {size} leases")
    return time.perf_counter() - began
