"""The dry run, the forecast and the reminders."""

from datetime import date, timedelta
from decimal import Decimal

import psycopg
import pytest

from include.billing import (
    apply_settings,
    bill_days,
    forecast,
    send_reminders,
    settle_late_facts,
    would_bill,
)
from include.registry.database import RegistryRefused
from include.settings import Settings
from tests.billing.facts import at, lease, leave, ledger, price

DAYS = (2, 1, 0)


@pytest.fixture
def paris(conn: psycopg.Connection) -> psycopg.Connection:
    apply_settings(conn, Settings("Europe/Paris"))
    price(conn, "40.00", date(2026, 1, 1))
    return conn


def test_the_dry_run_says_what_the_run_then_does_and_changes_nothing(paris: psycopg.Connection) -> None:
    lease(paris, 1, at("2026-03-01 10:00"))
    gone = lease(paris, 2, at("2026-03-01 10:00"))
    lease(paris, 3, at("2026-03-11 10:00"))
    bill_days(paris, now=at("2026-03-12 00:15"))
    leave(paris, gone, at("2026-03-10 12:00"))
    lease(paris, 4, at("2026-03-10 10:00"), plan="large")
    before = ledger(paris)
    dry = would_bill(paris, now=at("2026-03-20 00:15"))
    assert ledger(paris) == before
    assert (dry.first, dry.last) == (date(2026, 3, 12), date(2026, 3, 19))
    found = {(line.server, line.kind): (line.days, line.amount) for line in dry.lines}
    assert found == {
        ("vps-1", "charge"): (8, Decimal("10.33")),
        ("vps-2", "correction"): (2, Decimal("-2.58")),
        ("vps-3", "charge"): (1, Decimal("1.29")),
        ("vps-4", "nothing"): (0, Decimal(0)),
    }
    why = {line.server: line.why for line in dry.lines}
    assert why["vps-1"] == "plan medium at 40.00 a month"
    assert why["vps-2"] == "the last account left 2026-03-10 11:00 UTC"
    assert why["vps-3"] == "free until 2026-03-18 09:00 UTC; plan medium at 40.00 a month"
    assert why["vps-4"] == "free until 2026-03-17 09:00 UTC; plan large has no price"
    assert "Sum: 9.04 EUR" in dry.table() and "customer-3" in dry.table()
    assert "and 3 more leases" in dry.table(most=1)
    bill_days(paris, now=at("2026-03-20 00:15"))
    settle_late_facts(paris)
    assert sum(row[4] for row in ledger(paris)) - sum(row[4] for row in before) == dry.sums()["EUR"]
    assert would_bill(paris, now=at("2026-03-20 00:15")).table() == "No day to bill."


def test_the_forecast_tells_the_customer_what_waiting_costs(paris: psycopg.Connection) -> None:
    number = lease(paris, 1, at("2026-03-01 10:00"))
    early = forecast(paris, number, now=at("2026-03-02 12:00"))
    assert early.sentence() == "If you finish by Monday 9 March: 0.00 EUR; each day after: 1.29 to 1.34 EUR."
    costs = {cost.finish_on.day: str(cost.total) for cost in early.costs if cost.finish_on.month == 3}
    assert (costs[2], costs[9], costs[10], costs[12]) == ("0.00", "0.00", "1.29", "3.87")
    late = forecast(paris, number, now=at("2026-03-12 12:00"))
    assert late.sentence() == "If you finish today: 3.87 EUR; each day after: 1.29 to 1.34 EUR."
    leave(paris, number, at("2026-03-12 15:00"))
    done = forecast(paris, number, now=at("2026-04-12 12:00"))
    assert done.sentence() == "You finished on Thursday 12 March: 3.87 EUR in all."
    bill_days(paris, now=at("2026-04-12 12:00"))
    assert sum(row[4] for row in ledger(paris)) == Decimal("3.87")


def test_a_forecast_is_refused_without_a_lease_or_a_price(paris: psycopg.Connection) -> None:
    with pytest.raises(RegistryRefused, match="no lease 12345"):
        forecast(paris, 12345)
    number = lease(paris, 1, at("2026-03-01 10:00"), plan="large")
    with pytest.raises(RegistryRefused, match="has no price on 2026-03-09"):
        forecast(paris, number, now=at("2026-03-02 12:00"))
    price(paris, "40.00", date(2026, 1, 1), plan="large")
    price(paris, "5000", date(2026, 3, 15), "JPY", plan="large")
    with pytest.raises(RegistryRefused, match="changes its currency"):
        forecast(paris, number, now=at("2026-03-02 12:00"))


def reminders(conn: psycopg.Connection) -> list[str]:
    return [
        r[0]
        for r in conn.execute("SELECT payload ->> 'reminder' FROM outbox WHERE kind = 'lease.reminder' ORDER BY id")
    ]


def test_each_reminder_is_sent_once_on_its_day(paris: psycopg.Connection) -> None:
    lease(paris, 1, at("2026-03-01 10:00"))
    sent: dict[str, list[tuple[int, int]]] = {}
    for day in range(1, 15):
        for hour in (0, 12):
            now = at("2026-03-01 00:15") + timedelta(days=day - 1, hours=hour)
            bill_days(paris, now=now)
            before = reminders(paris)
            send_reminders(paris, DAYS, now=now)
            for kind in reminders(paris)[len(before) :]:
                sent.setdefault(kind, []).append((day, hour))
    assert sent == {
        "two_days_left": [(6, 0)],
        "one_day_left": [(7, 0)],
        "free_days_over": [(8, 0)],
        "first_charge": [(10, 0)],
    }


def test_fourteen_free_days_and_a_reminder_more(conn: psycopg.Connection) -> None:
    apply_settings(conn, Settings("Europe/Paris", free_days=14))
    price(conn, "40.00", date(2026, 1, 1))
    number = lease(conn, 1, at("2026-03-01 10:00"))
    sentence = forecast(conn, number, now=at("2026-03-02 12:00")).sentence()
    assert sentence == "If you finish by Monday 16 March: 0.00 EUR; each day after: 1.29 to 1.34 EUR."
    sent: dict[str, int] = {}
    for day in range(1, 20):
        now = at("2026-03-01 00:15") + timedelta(days=day - 1)
        bill_days(conn, now=now)
        before = reminders(conn)
        send_reminders(conn, (7, 2, 1, 0), now=now)
        sent |= {kind: day for kind in reminders(conn)[len(before) :]}
    assert sent == {
        "seven_days_left": 8,
        "two_days_left": 13,
        "one_day_left": 14,
        "free_days_over": 15,
        "first_charge": 17,
    }
    assert ledger(conn)[0][1] == date(2026, 3, 16)


def test_a_reminder_that_would_be_before_the_hand_over_is_none(conn: psycopg.Connection) -> None:
    apply_settings(conn, Settings("Europe/Paris", free_days=3))
    lease(conn, 1, at("2026-03-01 10:00"))
    send_reminders(conn, (7, 5), now=at("2026-03-01 23:00"))
    assert reminders(conn) == []


def test_no_reminder_comes_too_late_or_to_who_has_finished(paris: psycopg.Connection) -> None:
    finished = lease(paris, 1, at("2026-03-01 10:00"))
    leave(paris, finished, at("2026-03-03 10:00"))
    lease(paris, 2, at("2026-03-01 10:00"))
    bill_days(paris, now=at("2026-03-07 23:00"))
    assert send_reminders(paris, DAYS, now=at("2026-03-07 23:00")) == 1
    assert reminders(paris) == ["one_day_left"]
    bill_days(paris, now=at("2026-03-20 00:15"))
    assert send_reminders(paris, DAYS, now=at("2026-03-20 00:15")) == 1
    assert reminders(paris) == ["one_day_left", "first_charge"]
    assert send_reminders(paris, DAYS, now=at("2026-03-21 00:15")) == 0
