"""A second, slow opinion on what a transit costs: plain Python, day by day, no SQL, nothing shared with the code."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from math import floor
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
DECIMALS = {"EUR": 2, "JPY": 0, "KWD": 3}


@dataclass
class Facts:
    """All that is true in the end: zones and prices (from a date on), and leases."""

    zones: dict[date, str]
    prices: dict[tuple[str, date], tuple[Decimal, str]]
    leases: dict[int, Lease] = field(default_factory=dict)


@dataclass
class Lease:
    """A lease's facts."""

    plan: str
    handed_over: datetime
    left: datetime | None
    free_days: int = 7


@cache
def first_instant(day: date, zone: str) -> datetime:
    """Walks through the hours around midnight until the date is there."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=16)
    while moment.astimezone(ZoneInfo(zone)).date() < day:
        moment += timedelta(minutes=15)
    return moment


def zone_of_day(facts: Facts, day: date) -> str:
    return facts.zones[max(since for since in facts.zones if since <= day)]


def begins(facts: Facts, day: date) -> datetime:
    return first_instant(day, zone_of_day(facts, day))


def zone_of_instant(facts: Facts, moment: datetime) -> str:
    """The zone of the newest zone whose first day has begun."""
    zone = facts.zones[min(facts.zones)]
    for since in sorted(facts.zones)[1:]:
        if first_instant(since, facts.zones[since]) <= moment:
            zone = facts.zones[since]
    return zone


def same_time_later(moment: datetime, days: int, zone: str) -> datetime:
    """The same wall-clock time some dates later: the later one if it comes twice, pushed on if it is skipped."""
    wanted = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) + days * DAY
    around = [wanted.replace(tzinfo=UTC) + hours * timedelta(hours=1) for hours in range(-30, 31)]
    offsets = [m.astimezone(ZoneInfo(zone)).utcoffset() for m in around]
    instants = {wanted.replace(tzinfo=UTC) - offset for offset in offsets if offset is not None}
    right = [i for i in instants if i.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wanted]
    return max(right) if right else max(instants)


def price_on(facts: Facts, plan: str, day: date) -> tuple[Decimal, str] | None:
    known = [since for p, since in facts.prices if p == plan and since <= day]
    return facts.prices[plan, max(known)] if known else None


def amount(facts: Facts, plan: str, day: date) -> tuple[Decimal, str] | None:
    """The day's rounded running total of the month, less the running total of the day before, rounded."""
    today = price_on(facts, plan, day)
    if today is None:
        return None
    currency = today[1]
    length = calendar.monthrange(day.year, day.month)[1]

    def so_far(last: int) -> Decimal:
        total = Fraction(0)
        for number in range(1, last + 1):
            price = price_on(facts, plan, day.replace(day=number))
            if price is not None and price[1] == currency:
                total += Fraction(price[0]) / length
        units = floor(total * 10 ** DECIMALS[currency] + Fraction(1, 2))
        return Decimal(units).scaleb(-DECIMALS[currency])

    return so_far(day.day) - so_far(day.day - 1), currency


def days_due(facts: Facts, lease: Lease, last: date) -> list[date]:
    """The days that a lease pays for, through the day `last`."""
    deadline = same_time_later(lease.handed_over, lease.free_days, zone_of_instant(facts, lease.handed_over))
    due = []
    day = lease.handed_over.date() - 3 * DAY
    while day <= last:
        over = begins(facts, day + DAY)
        if begins(facts, day) >= deadline and (lease.left is None or over <= lease.left):
            due.append(day)
        day += DAY
    return due


def ledger(facts: Facts, last: date) -> dict[tuple[int, date, str], Decimal]:
    """What every lease-day sums to, through the day `last`; days that cost 0 as well."""
    entries = {}
    for lease_id, lease in facts.leases.items():
        for day in days_due(facts, lease, last):
            cost = amount(facts, lease.plan, day)
            if cost is not None:
                entries[lease_id, day, cost[1]] = cost[0]
    return entries
