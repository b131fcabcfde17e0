"""Any leases, prices, outages, re-runs, orders and time zones: the ledger is what the oracle says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.billing import apply_settings, bill_days, billed_through, settle_late_facts
from include.registry.database import RegistryRefused, certain
from include.settings import Settings
from tests.billing import oracle
from tests.billing.facts import balances, lease, leave, ledger, price

# Clocks go forward and back, at midnight too; half hours; the far ends of the world.
ZONES = [
    "Europe/Paris",
    "America/New_York",
    "Atlantic/Azores",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "UTC",
]
# Spring and autumn of both halves, a leap day, a year's end.
STARTS = [date(2026, 3, 5), date(2025, 10, 10), date(2024, 2, 10), date(2025, 12, 12), date(2026, 4, 12)]
LENGTH = 60
"""Days that an example lasts."""

PRICES = {"EUR": ["40.00", "49.99", "0.05", "0.00", "31.00"], "JPY": ["5000", "7"], "KWD": ["12.345", "3.001"]}

minutes = st.one_of(st.integers(0, LENGTH * 24 * 60), st.integers(0, LENGTH * 48).map(lambda halves: halves * 30))


Event = tuple[int, str, Any, Any]
"""The minute, what happens, and two facts of it."""
Story = tuple[date, str, list[Event]]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A start, a zone, and events by the minute at which the registry gets to know them."""
    start = draw(st.sampled_from(STARTS))
    events: list[Event] = []
    for number in range(1, draw(st.integers(1, 6)) + 1):
        handed_over = draw(minutes)
        stays = draw(st.one_of(st.none(), st.integers(0, 30 * 24 * 60)))
        late = draw(st.sampled_from([0, 0, 0, 60, 3 * 1440, 20 * 1440]))
        events.append((handed_over + late, "lease", number, handed_over))
        if stays is not None:
            left = handed_over + stays
            late = draw(st.sampled_from([0, 0, 0, 60, 3 * 1440, 20 * 1440]))
            events.append((max(left + late, events[-1][0]), "leave", number, left))
    for day in draw(st.lists(st.integers(0, LENGTH), max_size=3, unique=True)):
        currency = draw(st.sampled_from(["EUR", "EUR", "EUR", "JPY", "KWD"]))
        known = day * 1440 + draw(st.sampled_from([-5 * 1440, -1440, 0, 4 * 1440]))
        events.append((max(known, 0), "price", day, (draw(st.sampled_from(PRICES[currency])), currency)))
    for moment in draw(st.lists(minutes, max_size=2, unique=True)):
        events.append((moment, "zone", draw(st.sampled_from(ZONES)), None))
    runs = draw(st.lists(minutes, max_size=12))
    events += [(moment, "run", draw(st.integers(0, 9)), None) for moment in runs]
    return start, draw(st.sampled_from(ZONES)), sorted(events, key=lambda e: e[0])


def tell(conn: psycopg.Connection, start: date, zone: str, events: list[Event]) -> tuple[oracle.Facts, datetime]:
    """Let the story happen in the registry; the facts in the end, and when it ends."""
    zero = datetime(start.year, start.month, start.day, tzinfo=UTC)
    facts = oracle.Facts({date(1, 1, 1): zone}, {("medium", date(2023, 1, 1)): (Decimal("40.00"), "EUR")})
    apply_settings(conn, Settings(zone))
    price(conn, "40.00", date(2023, 1, 1))
    ids: dict[int, int] = {}
    for minute, kind, what, detail in events:
        now = zero + timedelta(minutes=minute)
        if kind == "lease":
            ids[what] = lease(conn, what, zero + timedelta(minutes=detail))
            facts.leases[ids[what]] = oracle.Lease("medium", zero + timedelta(minutes=detail), None)
        elif kind == "leave":
            leave(conn, ids[what], zero + timedelta(minutes=detail))
            facts.leases[ids[what]].left = zero + timedelta(minutes=detail)
        elif kind == "price":
            since = start + timedelta(days=what)
            price(conn, detail[0], since, detail[1])
            facts.prices["medium", since] = (Decimal(detail[0]), detail[1])
        elif kind == "zone":
            try:
                apply_settings(conn, Settings(what), now=now)
            except RegistryRefused:
                continue  # two changes on one day
            rows = conn.execute("SELECT valid_from, zone FROM billing_time_zones").fetchall()
            facts.zones = dict(rows)
        elif kind == "run":
            run(conn, now, what)
    return facts, zero + timedelta(days=LENGTH + 1)


def run(conn: psycopg.Connection, now: datetime, how: int) -> None:
    """One of several ways in which a run may go."""
    if how == 0:
        with conn.transaction(force_rollback=True):  # killed
            bill_days(conn, now=now)
            settle_late_facts(conn)
    elif how == 1:
        settle_late_facts(conn)  # in the other order
        bill_days(conn, now=now)
    elif how == 2:
        bill_days(conn, through_day=(now - timedelta(days=5)).date(), now=now)  # a past day
    elif how == 3:
        bill_days(conn, now=now)  # ended before it settled
    else:
        bill_days(conn, now=now)
        settle_late_facts(conn)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories())
def test_the_ledger_is_what_the_oracle_says(conn: psycopg.Connection, story: Story) -> None:
    with conn.transaction(force_rollback=True):
        facts, end = tell(conn, *story)
        bill_days(conn, now=end)
        settle_late_facts(conn)
        expected = oracle.ledger(facts, certain(billed_through(conn)))
        assert balances(conn) == {key: value for key, value in expected.items() if value != 0}
        entries = ledger(conn)
        charges = {(row[0], row[1]) for row in entries if row[3] == "charge"}
        assert len(charges) == sum(row[3] == "charge" for row in entries), "a day was charged twice"
        assert {key[:2] for key in expected} <= charges, "a day was not charged"
        # Once more changes nothing.
        bill_days(conn, now=end)
        settle_late_facts(conn)
        assert ledger(conn) == entries


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories(), runs=st.lists(minutes, max_size=12))
def test_when_facts_are_known_in_time_the_ledger_does_not_depend_on_the_runs(
    conn: psycopg.Connection, story: Story, runs: list[int]
) -> None:
    start, zone, events = story
    punctual = [
        (0, *e[1:]) if e[1] in ("price",) else (e[3], *e[1:]) for e in events if e[1] in ("lease", "leave", "price")
    ]
    punctual += [e for e in events if e[1] == "zone"]
    ledgers = []
    for at in ([], runs):
        happens = sorted([*punctual, *((moment, "run", 1, None) for moment in at)], key=lambda e: e[0])
        with conn.transaction(force_rollback=True):
            _, end = tell(conn, start, zone, happens)
            bill_days(conn, now=end)
            settle_late_facts(conn)
            entries = conn.execute(
                "SELECT l.server, e.day, e.number, e.kind, e.amount, e.currency FROM ledger_entries e"
                " JOIN leases l ON l.id = e.lease ORDER BY 1, 2, 3"
            ).fetchall()
        assert all(entry[3] == "charge" for entry in entries)
        ledgers.append(entries)
    assert ledgers[0] == ledgers[1]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    units=st.integers(0, 10**9),
    currency=st.sampled_from(list(oracle.DECIMALS)),
    month=st.dates(date(2023, 1, 1), date(2030, 12, 1)),
)
def test_every_month_sums_to_its_price(conn: psycopg.Connection, units: int, currency: str, month: date) -> None:
    monthly = Decimal(units).scaleb(-oracle.DECIMALS[currency])
    with conn.transaction(force_rollback=True):
        price(conn, monthly, date(2000, 1, 1), currency)
        amounts = conn.execute(
            "SELECT amount FROM billing_prices(date_trunc('month', %(m)s::date)::date,"
            " (date_trunc('month', %(m)s::date) + interval '1 month - 1 day')::date) ORDER BY day",
            {"m": month},
        ).fetchall()
    assert sum(a for (a,) in amounts) == monthly
    share = monthly / len(amounts)
    unit = Decimal(1).scaleb(-oracle.DECIMALS[currency])
    assert all(abs(a - share) < unit for (a,) in amounts)
