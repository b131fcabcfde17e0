"""What will be billed: the dry run for ops, the forecast for the customer. Both only read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import psycopg
from psycopg.rows import class_row

from include.billing.calendar import billed_through, date_of, instant_or_now
from include.billing.ledger import days_to_bill, plans_without_price
from include.billing.statements import WOULD_BILL, WOULD_SETTLE
from include.registry.database import RegistryRefused, certain, execute, in_transaction, row, rows

FORECAST_DAYS = 31
"""How many days ahead a forecast looks."""


@dataclass(frozen=True)
class Line:
    """A lease in the dry run. `kind`: charge (days of a lease that the run would charge), correction (what late
    facts would bring), nothing (an open lease that costs nothing on these days). `why`: the facts behind it."""

    lease: int
    server: str
    customer: str | None
    kind: str
    first_day: date | None
    last_day: date | None
    days: int
    amount: Decimal
    currency: str | None
    why: str


@dataclass(frozen=True)
class DryRun:
    """The days that a run would bill (both included; None when there is none), and a line a lease."""

    first: date | None
    last: date | None
    lines: tuple[Line, ...]

    def table(self, most: int = 200) -> str:
        """For a log: at most so many lines, then the sums of all."""
        head = ("lease", "server", "customer", "what", "days", "amount", "why")
        body = [
            (
                str(line.lease),
                line.server,
                line.customer or "-",
                line.kind,
                f"{line.first_day} to {line.last_day} ({line.days})" if line.days else "-",
                f"{line.amount} {line.currency}" if line.currency else "-",
                line.why,
            )
            for line in self.lines[:most]
        ]
        widths = [max(len(cells[i]) for cells in (head, *body)) for i in range(len(head) - 1)]

        def text(cells: tuple[str, ...]) -> str:
            return "  ".join([*(c.ljust(w) for c, w in zip(cells[:-1], widths, strict=True)), cells[-1]]).rstrip()

        parts = [f"Days to bill: {self.first} to {self.last}." if self.first else "No day to bill."]
        if body:
            parts += [text(head), *map(text, body)]
        if len(self.lines) > most:
            parts.append(f"... and {len(self.lines) - most} more leases.")
        parts += [f"Sum: {amount} {currency}" for currency, amount in sorted(self.sums().items())]
        return "\n".join(parts)

    def sums(self) -> dict[str, Decimal]:
        """The sum of all lines, by currency."""
        sums: dict[str, Decimal] = {}
        for line in self.lines:
            if line.currency:
                sums[line.currency] = sums.get(line.currency, Decimal(0)) + line.amount
        return sums


@in_transaction
def would_bill(conn: psycopg.Connection, through_day: date | None = None, now: datetime | None = None) -> DryRun:
    """What a run of `bill_days` and `settle_late_facts` would enter at this moment, and why, lease by lease."""
    lines: list[Line] = []
    execute(conn, "SET LOCAL jit = off")  # compiling takes longer than running
    billed = billed_through(conn)
    if billed is not None:
        lines += rows(conn, Line, WOULD_SETTLE, {"last": billed})
    first, last = days_to_bill(conn, through_day, now)
    if first is None or first > last:
        return DryRun(None, None, tuple(lines))
    unpriced = list(plans_without_price(conn, first, last))
    lines += rows(conn, Line, WOULD_BILL, {"first": first, "last": last, "unpriced": unpriced})
    return DryRun(first, last, tuple(lines))


@dataclass(frozen=True)
class Cost:
    """What the transit costs in all when the last account leaves the original on the day `finish_on`."""

    finish_on: date
    total: Decimal


@dataclass(frozen=True)
class Forecast:
    """What a lease costs by the facts and prices of now.

    `free_through`: the last day on which the customer can finish and pay nothing. `costs`: a cost for each day
    on which they may finish, from today on; one only when they have finished. `each_day`: what a further day
    costs, the least and the most of the days ahead.
    """

    lease: int
    free_until: datetime
    free_through: date
    finished_on: date | None
    currency: str
    costs: tuple[Cost, ...]
    each_day: tuple[Decimal, Decimal]

    def sentence(self) -> str:
        """For the customer, such as 'If you finish by Friday 27 November: 0.00 EUR; each day after: 1.29 EUR.'"""
        first = self.costs[0]
        if self.finished_on is not None:
            return f"You finished on {_day(self.finished_on)}: {first.total} {self.currency} in all."
        least, most = self.each_day
        each = f"{least}" if least == most else f"{least} to {most}"
        by = max(first.finish_on, self.free_through)
        total = next(cost.total for cost in self.costs if cost.finish_on == by)
        return (
            f"If you finish {'today' if by == first.finish_on else f'by {_day(by)}'}: {total} {self.currency}; "
            f"each day after: {each} {self.currency}."
        )


FORECAST = """
WITH lease AS MATERIALIZED (SELECT * FROM billing_leases WHERE id = %(lease)s),
span AS MATERIALIZED (
    SELECT handed_over_on AS first, greatest(%(today)s, handed_over_on + free_days + 1) + %(ahead)s AS last
    FROM lease
)
SELECT c.day, p.amount, p.currency, x.minor_digits
FROM lease l
CROSS JOIN span
JOIN LATERAL billing_calendar(span.first, span.last) c ON c.begins >= l.free_until
LEFT JOIN LATERAL (SELECT * FROM billing_prices(span.first, span.last)) p ON p.plan = l.plan AND p.day = c.day
LEFT JOIN currencies x ON x.code = p.currency
ORDER BY c.day
"""


@dataclass(frozen=True)
class _Facts:
    plan: str
    free_until: datetime
    finished_on: date | None


@dataclass(frozen=True)
class _Day:
    day: date
    amount: Decimal | None
    currency: str | None
    minor_digits: int | None


@in_transaction
def forecast(conn: psycopg.Connection, lease: int, now: datetime | None = None) -> Forecast:
    """What the lease will have cost, by the day on which its last account leaves the original. Refuses an unknown
    lease, and one whose plan lacks a price or changes its currency in that time."""
    today = date_of(conn, instant_or_now(conn, now))
    facts = row(
        conn,
        _Facts,
        "SELECT plan, free_until, billing_date_of(billed_until) AS finished_on FROM billing_leases"
        " WHERE id = %(lease)s",
        {"lease": lease},
    )
    if facts is None:
        raise RegistryRefused(f"There is no lease {lease}: check its id.")
    with conn.cursor(row_factory=class_row(_Day)) as cursor:
        days = cursor.execute(FORECAST, {"lease": lease, "today": today, "ahead": FORECAST_DAYS}).fetchall()
    currencies = {day.currency for day in days}
    if None in currencies:
        missing = next(day.day for day in days if day.currency is None)
        raise RegistryRefused(f"The plan {facts.plan} has no price on {missing}: add one.")
    if len(currencies) > 1:
        raise RegistryRefused(f"The plan {facts.plan} changes its currency meanwhile: there is no one sum to forecast.")
    free_through = days[0].day
    finishes = [facts.finished_on] if facts.finished_on else _dates(today, days[-1].day)
    nothing = Decimal(0).scaleb(-certain(days[0].minor_digits))
    amounts = [(day.day, certain(day.amount)) for day in days]
    ahead = [amount for day, amount in amounts if day >= today]
    return Forecast(
        lease=lease,
        free_until=facts.free_until,
        free_through=free_through,
        finished_on=facts.finished_on,
        currency=certain(days[0].currency),
        costs=tuple(Cost(on, sum((amount for day, amount in amounts if day < on), nothing)) for on in finishes),
        each_day=(min(ahead), max(ahead)),
    )


def _dates(first: date, last: date) -> list[date]:
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def _day(day: date) -> str:
    return f"{day:%A} {day.day} {day:%B}"
