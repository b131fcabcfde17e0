"""Plans: the configurations that servers come in, with their prices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import psycopg

from include.registry.database import RegistryRefused, column, execute, in_transaction, names, row, rows, value
from include.registry.events import event
from include.registry.kinds import EventKind

FIRST_DAY = date(1970, 1, 1)
"""The price that a plan is added with holds from here on."""


@dataclass(frozen=True)
class Plan:
    """A configuration that servers come in, with a price. `monthly_price` is today's (by the database's date)."""

    name: str
    cpus: int
    memory_bytes: int
    disk_bytes: int
    larger_transit: bool
    monthly_price: Decimal
    currency: str


@dataclass(frozen=True)
class Price:
    """What a plan costs a month, from a day on."""

    monthly_price: Decimal
    currency: str
    valid_from: date

    def __post_init__(self) -> None:
        if not isinstance(self.monthly_price, Decimal):
            raise TypeError("monthly_price is a Decimal: a float cannot hold a price")


_PLAN = """
    SELECT p.name, cpus, memory_bytes, disk_bytes, larger_transit, monthly_price, currency
    FROM plans p JOIN LATERAL (
        SELECT monthly_price, currency FROM plan_prices
        WHERE plan = p.name AND valid_from <= current_date ORDER BY valid_from DESC LIMIT 1
    ) price ON true
"""


@in_transaction
def add_plan(
    conn: psycopg.Connection,
    name: str,
    monthly_price: Decimal,
    currency: str,
    cpus: int,
    memory_bytes: int,
    disk_bytes: int,
    later: Sequence[Price] = (),
    by: str | None = None,
) -> Plan:
    """Add a plan with its first price, and those that came or come `later`. Repeating it is fine; another size or first
    price under the same name is refused: a price that changes is `set_price`'s. A plan that was withdrawn is offered
    again."""
    size = (cpus, memory_bytes, disk_bytes)
    params = {"name": name, "cpus": cpus, "memory": memory_bytes, "disk": disk_bytes}
    added = execute(
        conn,
        """
        INSERT INTO plans (name, cpus, memory_bytes, disk_bytes)
        VALUES (%(name)s, %(cpus)s, %(memory)s, %(disk)s) ON CONFLICT (name) DO NOTHING
        """,
        params,
    )
    if added:
        for price in (Price(monthly_price, currency, FIRST_DAY), *later):
            _write_price(conn, name, price, by)
    elif execute(
        conn,
        "UPDATE plans SET withdrawn_at = NULL WHERE name = %(name)s AND withdrawn_at IS NOT NULL",
        params,
    ):
        event(conn, EventKind.PLAN_OFFERED, by=by, detail={"plan": name})
    record = plan(conn, name)
    if (record.cpus, record.memory_bytes, record.disk_bytes) != size:
        raise RegistryRefused(f"Plan {name} exists with another size: give the new plan a name of its own.")
    first, *_ = prices_of(conn, name)
    if (first.monthly_price, first.currency) != (monthly_price, currency):
        raise RegistryRefused(
            f"Plan {name} has cost {first.monthly_price} {first.currency} from the beginning: set another price from a"
            " later day."
        )
    return record


@in_transaction
def plan(conn: psycopg.Connection, name: str) -> Plan:
    """A plan; refuses an unknown name."""
    record = row(conn, Plan, f"{_PLAN} WHERE p.name = %(name)s", {"name": name})
    if record is None:
        raise RegistryRefused(f"There is no plan {name}: add it with a price.")
    return record


@in_transaction
def list_plans(conn: psycopg.Connection) -> list[Plan]:
    """The plans that servers can have, by name."""
    return rows(conn, Plan, f"{_PLAN} WHERE withdrawn_at IS NULL ORDER BY p.name")


@in_transaction
def prices_of(conn: psycopg.Connection, plan: str) -> list[Price]:
    """What a plan has cost, costs and will cost, the first price first."""
    return rows(
        conn,
        Price,
        "SELECT monthly_price, currency, valid_from FROM plan_prices WHERE plan = %(plan)s ORDER BY valid_from",
        {"plan": plan},
    )


@in_transaction
def set_price(
    conn: psycopg.Connection,
    plan: str,
    monthly_price: Decimal,
    currency: str,
    valid_from: date,
    by: str | None = None,
) -> None:
    """The plan's price from a day on. What has been in force is history and stays: a price begins tomorrow, where the
    host counts its days, or later. Repeating it is fine."""
    price = Price(monthly_price, currency, valid_from)
    before = prices_of(conn, plan)
    if price in before:
        return
    begun = value(conn, "SELECT %(day)s <= greatest(current_date, billing_date_of(now()))", {"day": valid_from})
    is_new = valid_from not in [earlier.valid_from for earlier in before]
    if before and begun and is_new:
        raise RegistryRefused(
            f"The price of plan {plan} from {valid_from} would be in force already: let it begin on a later day."
        )
    _write_price(conn, plan, price, by)


def _write_price(conn: psycopg.Connection, plan: str, price: Price, by: str | None) -> None:
    execute(
        conn,
        """
        INSERT INTO plan_prices (plan, monthly_price, currency, valid_from)
        VALUES (%(plan)s, %(price)s, %(currency)s, %(day)s)
        ON CONFLICT (plan, valid_from) DO UPDATE
            SET monthly_price = excluded.monthly_price, currency = excluded.currency
        """,
        {"plan": plan, "price": price.monthly_price, "currency": price.currency, "day": price.valid_from},
    )
    detail = {"plan": plan, "monthly_price": str(price.monthly_price), "currency": price.currency}
    event(conn, EventKind.PLAN_PRICED, by=by, detail={**detail, "valid_from": price.valid_from.isoformat()})


@in_transaction
def withdraw_price(conn: psycopg.Connection, plan: str, valid_from: date, by: str) -> None:
    """Take back a price that has not begun to hold. Repeating it is fine."""
    params = {"plan": plan, "day": valid_from}
    if execute(conn, "DELETE FROM plan_prices WHERE plan = %(plan)s AND valid_from = %(day)s", params):
        detail = {"plan": plan, "valid_from": valid_from.isoformat()}
        event(conn, EventKind.PLAN_PRICE_WITHDRAWN, by=by, detail=detail)


@in_transaction
def withdraw_plan(conn: psycopg.Connection, name: str, by: str) -> None:
    """No server gets this plan any more; what was billed by it stays. Refused while a server has it, or a transit is
    asked for or leased by it. Repeating it is fine."""
    params = {"plan": name}
    execute(conn, "SELECT FROM plans WHERE name = %(plan)s FOR UPDATE", params)
    servers = column(
        conn, "SELECT name FROM servers WHERE plan = %(plan)s AND state <> 'removed' ORDER BY name", params
    )
    if servers:
        raise RegistryRefused(f"Servers have plan {name} ({names(servers)}): give them another plan first.")
    leased = column(
        conn,
        """
        SELECT server FROM leases WHERE plan = %(plan)s AND ended_at IS NULL
        UNION SELECT m.server FROM transit_requests r JOIN migrations m ON m.id = r.migration
        WHERE r.plan = %(plan)s AND r.state IN ('waiting', 'assigned') ORDER BY 1
        """,
        params,
    )
    if leased:
        raise RegistryRefused(f"Transits are asked for or leased by plan {name} ({names(leased)}): wait for their end.")
    if execute(conn, "UPDATE plans SET withdrawn_at = now() WHERE name = %(plan)s AND withdrawn_at IS NULL", params):
        event(conn, EventKind.PLAN_WITHDRAWN, by=by, detail=params)
