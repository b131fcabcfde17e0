"""Facts for billing's tests, written straight into the registry."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

PARIS = ZoneInfo("Europe/Paris")


def fill(conn: psycopg.Connection, servers: int) -> None:
    """Servers vps-1.. on the plan `medium`, each with a transit and a migration; nothing is handed over yet.
    The guards of a migration's path are not what is tested here, so they are off meanwhile."""
    with conn.transaction():
        conn.execute("SET LOCAL session_replication_role = replica")
        conn.execute("INSERT INTO plans SELECT unnest(ARRAY['medium', 'large']), 2, 4, 8")
        conn.execute(
            "INSERT INTO servers (name, kind, plan, infrastructure, customer, management_address, lan_address,"
            " lan_address6, state)"
            " SELECT 'vps-' || i, 'vps', 'medium', '2022', 'customer-' || i, '10.0.0.0'::inet + i,"
            " '10.64.0.0'::inet + i, 'fd30::'::inet + i, 'serving' FROM generate_series(1, %(n)s) i"
            " UNION ALL SELECT 'transit-' || i, 'transit', 'medium', '2026', NULL, '10.32.0.0'::inet + i,"
            " '10.96.0.0'::inet + i, 'fd31::'::inet + i, 'handed_over' FROM generate_series(1, %(n)s) i",
            {"n": servers},
        )
        conn.execute(
            "INSERT INTO catalogue (name, title, kind, from_version, to_version)"
            " VALUES ('debian-13', 'Debian 13', 'infrastructure', '2022', '2026')"
        )
        conn.execute(
            "INSERT INTO migrations (server, entry, from_infrastructure, to_infrastructure, transit, run_id,"
            " requested_by, state)"
            " SELECT 'vps-' || i, 'debian-13', '2022', '2026', 'transit-' || i, 'run-' || i, 'a test',"
            " 'handed_over' FROM generate_series(1, %(n)s) i",
            {"n": servers},
        )


def lease(
    conn: psycopg.Connection,
    number: int,
    handed_over_at: datetime,
    left_at: datetime | None = None,
    plan: str = "medium",
) -> int:
    """A lease of vps-`number`'s transit; its id."""
    ((id,),) = conn.execute(
        "INSERT INTO leases (migration, transit, server, plan, handed_over_at, expected_end_at,"
        " last_account_left_at) VALUES ((SELECT id FROM migrations WHERE server = %(server)s), %(transit)s,"
        " %(server)s, %(plan)s, %(at)s, %(end)s, %(left)s) RETURNING id",
        {
            "server": f"vps-{number}",
            "transit": f"transit-{number}",
            "plan": plan,
            "at": handed_over_at,
            "end": handed_over_at + timedelta(days=14),
            "left": left_at,
        },
    ).fetchall()
    return id


def leave(conn: psycopg.Connection, lease_id: int, at: datetime) -> None:
    """The last account has left the original."""
    conn.execute("UPDATE leases SET last_account_left_at = %s WHERE id = %s", (at, lease_id))


def price(
    conn: psycopg.Connection,
    monthly: str | Decimal,
    valid_from: date,
    currency: str = "EUR",
    plan: str = "medium",
) -> None:
    """A price of the plan from a day on."""
    conn.execute("INSERT INTO plan_prices VALUES (%s, %s, %s, %s)", (plan, Decimal(monthly), currency, valid_from))


def at(text: str, zone: ZoneInfo = PARIS) -> datetime:
    """A wall-clock time such as '2026-03-01 10:00'."""
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def ledger(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Every entry: lease, day, number, kind, amount, currency."""
    return conn.execute(
        "SELECT lease, day, number, kind, amount, currency FROM ledger_entries ORDER BY lease, day, number"
    ).fetchall()


def balances(conn: psycopg.Connection) -> dict[tuple[int, date, str], Decimal]:
    """What each lease-day sums to, without those that sum to nothing."""
    return {
        (lease_id, day, currency): amount
        for lease_id, day, currency, amount in conn.execute(
            "SELECT lease, day, currency, sum(amount) FROM ledger_entries GROUP BY 1, 2, 3 HAVING sum(amount) <> 0"
        )
    }
