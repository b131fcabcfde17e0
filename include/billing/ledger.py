"""Charges and corrections: the ledger is brought to what the facts say, one statement for all leases.

`bill_days` enters what the days since the last run cost. `settle_late_facts` looks again at leases of which a
fact has changed, at all their days. Neither changes an entry; both can be repeated, and two at once take turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import psycopg

from include.billing.calendar import billed_through, last_ended_day
from include.billing.statements import BILL, SETTLE, UNPRICED
from include.registry.database import RegistryRefused, certain, execute, in_transaction, row, value

LOCK = "SELECT pg_advisory_xact_lock(7203002), set_config('jit', 'off', true)"
"""Compiling the statements takes longer than running them. The lock is taken before the statement that reads,
so that it sees all of the writer before; the schema takes the same lock for whoever writes without it."""


@dataclass(frozen=True)
class Billed:
    """What a run of `bill_days` did: the days (both included; None when there was none), the charges it
    entered, and the plans of leases that were due on a day without a price (they are billed once it is there).
    """

    first: date | None
    last: date | None
    charges: int = 0
    plans_without_price: tuple[str, ...] = ()


def require_prices(billed: Billed) -> None:
    """Refused, so that somebody looks, when a lease could not be billed for want of a price."""
    if billed.plans_without_price:
        raise RegistryRefused(
            f"No price for {', '.join(billed.plans_without_price)} on a day from {billed.first} to {billed.last}: add "
            "one; the next run charges what was left out."
        )


@dataclass(frozen=True)
class Settled:
    """What a run of `settle_late_facts` did."""

    leases_looked_at: int = 0
    leases_settled: int = 0
    charges: int = 0
    corrections: int = 0


@in_transaction
def bill_days(conn: psycopg.Connection, through_day: date | None = None, now: datetime | None = None) -> Billed:
    """Charge every lease for every day that was not billed yet, through `through_day` (else the last day that is
    over). One transaction: all of it or nothing. Refuses a day that is not over."""
    execute(conn, LOCK)
    first, last = days_to_bill(conn, through_day, now)
    if first is None or first > last:
        return Billed(None, None)
    span = {"first": first, "last": last}
    with conn.cursor() as cursor:
        charges = sum(charged for (charged,) in cursor.execute(BILL, span))
    return Billed(first, last, charges, plans_without_price(conn, first, last))


@in_transaction
def settle_late_facts(conn: psycopg.Connection) -> Settled:
    """Bring the ledger to what the facts say now, for each lease of which a fact has changed: for each day that
    is billed, the sum of the lease-day's entries becomes what the day costs. Its first entry is its charge, each
    further one a correction with a reason. A day that is not billed yet is left to `bill_days`."""
    execute(conn, LOCK)
    last = billed_through(conn)
    if last is None:
        return Settled()
    return certain(row(conn, Settled, SETTLE, {"last": last}))


def days_to_bill(
    conn: psycopg.Connection, through_day: date | None = None, now: datetime | None = None
) -> tuple[date | None, date]:
    """The first and the last day that a run would bill. The first is after the last when there is nothing to
    bill, and None when no transit was ever handed over. Refuses a last day that is not over."""
    ended = last_ended_day(conn, now)
    if through_day is not None and through_day > ended:
        raise RegistryRefused(f"The day {through_day} is not over: give {ended} or an earlier day, or none.")
    billed = billed_through(conn)
    if billed is not None:
        first = billed + timedelta(days=1)
    else:
        first = value(conn, "SELECT min(handed_over_on) FROM billing_leases")
    return first, through_day or ended


def plans_without_price(conn: psycopg.Connection, first: date, last: date) -> tuple[str, ...]:
    """The plans of leases that are due on a day from `first` through `last` on which the plan has no price."""
    with conn.cursor() as cursor:
        return tuple(plan for (plan,) in cursor.execute(UNPRICED, {"first": first, "last": last}))


@in_transaction
def correct_lease(
    conn: psycopg.Connection,
    lease: int,
    *,
    reason: str,
    corrected_by: str,
    handed_over_at: datetime | None = None,
    last_account_left_at: datetime | None = None,
    free_days: int | None = None,
) -> None:
    """Tell billing what is true of a lease where the registry's record of it is wrong, or what ops grant (more
    free days). The record stays; the next `settle_late_facts` enters what follows."""
    if value(conn, "SELECT id FROM leases WHERE id = %(lease)s", {"lease": lease}) is None:
        raise RegistryRefused(f"There is no lease {lease}: check its id.")
    if handed_over_at is None and last_account_left_at is None and free_days is None:
        raise RegistryRefused(
            "Nothing to correct: give a time of the hand-over, of the last account's leaving, or free days."
        )
    if not reason.strip() or not corrected_by.strip():
        raise RegistryRefused("A correction needs a reason and a name: give both.")
    if free_days is not None and not 0 <= free_days <= 365:
        raise RegistryRefused(f"A lease has 0 to 365 free days, not {free_days}: correct the number.")
    for moment in (handed_over_at, last_account_left_at):
        if moment is not None and moment.tzinfo is None:
            raise ValueError("A time without a zone means nothing to billing: give an aware datetime.")
    execute(
        conn,
        "INSERT INTO lease_corrections (lease, handed_over_at, last_account_left_at, free_days, reason,"
        " corrected_by) VALUES (%(lease)s, %(handed_over)s, %(left)s, %(free_days)s, %(reason)s, %(by)s)",
        {
            "lease": lease,
            "handed_over": handed_over_at,
            "left": last_account_left_at,
            "free_days": free_days,
            "reason": reason,
            "by": corrected_by,
        },
    )
