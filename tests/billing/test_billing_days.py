"""Days, prices and the ledger: worked examples."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import psycopg
import pytest

from include.billing import (
    apply_settings,
    bill_days,
    billed_through,
    correct_lease,
    date_of,
    settle_late_facts,
)
from include.registry.database import RegistryRefused
from include.settings import Settings
from tests.billing.facts import PARIS, at, balances, lease, leave, ledger, price


def use(conn: psycopg.Connection, zone: str = "Europe/Paris") -> None:
    apply_settings(conn, Settings(zone))


def test_a_lease_is_free_for_seven_days_then_costs_each_whole_day(conn: psycopg.Connection) -> None:
    use(conn)
    price(conn, "40.00", date(2026, 1, 1))
    lease(conn, 1, at("2026-03-01 10:00"), left_at=at("2026-03-12 09:00"))
    billed = bill_days(conn, now=at("2026-03-20 00:15"))
    # Free until the 8th, 10:00: the 9th is the first day that begins after. It left on the 12th: free.
    assert (billed.first, billed.last, billed.charges) == (date(2026, 3, 1), date(2026, 3, 19), 3)
    assert [(row[1], row[4]) for row in ledger(conn)] == [
        (date(2026, 3, 9), Decimal("1.29")),
        (date(2026, 3, 10), Decimal("1.29")),
        (date(2026, 3, 11), Decimal("1.29")),
    ]


def test_a_day_that_begins_with_the_end_of_the_free_days_counts(conn: psycopg.Connection) -> None:
    use(conn)
    price(conn, "31.00", date(2026, 1, 1))
    lease(conn, 1, at("2026-03-01 00:00"), left_at=at("2026-03-10 00:00"))
    bill_days(conn, now=at("2026-03-20 00:15"))
    assert [row[1] for row in ledger(conn)] == [date(2026, 3, 8), date(2026, 3, 9)]


@pytest.mark.parametrize(
    ("currency", "monthly"), [("EUR", "49.99"), ("JPY", "5000"), ("KWD", "12.345"), ("EUR", "0.07"), ("USD", "0")]
)
def test_every_month_sums_to_the_monthly_price(conn: psycopg.Connection, currency: str, monthly: str) -> None:
    use(conn)
    price(conn, monthly, date(2023, 1, 1), currency)
    lease(conn, 1, at("2023-12-01 10:00"))
    bill_days(conn, now=at("2025-03-01 00:15"))
    sums = conn.execute(
        "SELECT to_char(day, 'YYYY-MM'), sum(amount), count(*) FROM ledger_entries WHERE day >= '2024-01-01'"
        " GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [days for _, _, days in sums][:2] == [31, 29]
    assert len(sums) == 14 and sums[-1][2] == 28
    assert {amount for _, amount, _ in sums} == {Decimal(monthly)}


def test_a_price_change_within_a_month_changes_no_day_before_it(conn: psycopg.Connection) -> None:
    use(conn)
    price(conn, "31.00", date(2026, 1, 1))
    price(conn, "62.00", date(2026, 3, 17))
    lease(conn, 1, at("2026-02-01 10:00"))
    bill_days(conn, now=at("2026-04-01 00:15"))
    march = [row[4] for row in ledger(conn) if row[1] >= date(2026, 3, 1)]
    assert march == [Decimal("1.00")] * 16 + [Decimal("2.00")] * 15


def test_days_that_were_missed_are_caught_up_as_they_would_have_been(conn: psycopg.Connection) -> None:
    use(conn)
    price(conn, "40.00", date(2026, 1, 1))
    for number in range(1, 6):
        lease(conn, number, at("2026-03-01 10:00") + timedelta(hours=11 * number))
    with conn.transaction(force_rollback=True):
        for day in range(1, 31):
            bill_days(conn, now=at(f"2026-03-{day:02} 00:15"))
            settle_late_facts(conn)
        daily = ledger(conn)
    bill_days(conn, through_day=date(2026, 3, 12), now=at("2026-03-30 00:15"))
    assert bill_days(conn, through_day=date(2026, 3, 5), now=at("2026-03-30 00:15")).charges == 0
    bill_days(conn, now=at("2026-03-30 00:15"))
    assert sorted(ledger(conn)) == sorted(daily)
    assert bill_days(conn, now=at("2026-03-30 00:15")).first is None


def test_a_day_that_is_not_over_is_refused(conn: psycopg.Connection) -> None:
    use(conn)
    with pytest.raises(RegistryRefused, match="not over"):
        bill_days(conn, through_day=date(2026, 3, 20), now=at("2026-03-20 23:59"))
    assert bill_days(conn, through_day=date(2026, 3, 20), now=at("2026-03-21 00:00")).charges == 0


def test_without_a_time_zone_nothing_is_billed(conn: psycopg.Connection) -> None:
    with pytest.raises(RegistryRefused, match="no billing time zone"):
        bill_days(conn, now=at("2026-03-20 23:59"))


def test_late_facts_are_settled_by_new_entries(conn: psycopg.Connection) -> None:
    use(conn)
    price(conn, "31.00", date(2026, 1, 1))
    known = lease(conn, 1, at("2026-03-01 10:00"))
    bill_days(conn, now=at("2026-03-13 00:15"))
    settle_late_facts(conn)
    assert len(ledger(conn)) == 4  # the 9th to the 12th
    leave(conn, known, at("2026-03-10 15:00"))
    late = lease(conn, 2, at("2026-03-02 10:00"))
    settled = settle_late_facts(conn)
    assert (settled.leases_settled, settled.charges, settled.corrections) == (2, 3, 3)
    assert settle_late_facts(conn) == type(settled)()
    one = Decimal("1.00")
    assert balances(conn) == {
        (known, date(2026, 3, 9), "EUR"): one,
        **{(late, date(2026, 3, day), "EUR"): one for day in (10, 11, 12)},
    }
    reasons = conn.execute("SELECT DISTINCT reason FROM ledger_entries WHERE kind = 'correction'").fetchall()
    assert reasons == [("the last account left 2026-03-10 14:00 UTC",)]


def test_a_price_that_becomes_known_late_is_settled(conn: psycopg.Connection) -> None:
    use(conn)
    price(conn, "31.00", date(2026, 1, 1))
    lease(conn, 1, at("2026-03-01 10:00"))
    bill_days(conn, now=at("2026-03-13 00:15"))
    settle_late_facts(conn)
    price(conn, "62.00", date(2026, 3, 11))
    assert settle_late_facts(conn).corrections == 2
    assert sorted(balances(conn).values()) == [Decimal(1), Decimal(1), Decimal(2), Decimal(2)]
    # Another currency: what was charged is taken back in its own.
    price(conn, "3100", date(2026, 3, 12), "JPY")
    assert settle_late_facts(conn).corrections == 2
    assert [(k[2], v) for k, v in balances(conn).items() if k[1].day == 12] == [("JPY", Decimal(100))]


def test_a_plan_without_a_price_is_billed_once_it_has_one(conn: psycopg.Connection) -> None:
    use(conn)
    lease(conn, 1, at("2026-03-01 10:00"))
    billed = bill_days(conn, now=at("2026-03-13 00:15"))
    assert (billed.charges, billed.plans_without_price) == (0, ("medium",))
    price(conn, "31.00", date(2026, 1, 1))
    assert settle_late_facts(conn).charges == 4


def test_a_wrong_record_is_corrected_with_a_reason(conn: psycopg.Connection) -> None:
    use(conn)
    price(conn, "31.00", date(2026, 1, 1))
    wrong = lease(conn, 1, at("2026-03-01 10:00"))
    bill_days(conn, now=at("2026-03-13 00:15"))
    correct_lease(conn, wrong, handed_over_at=at("2026-03-02 10:00"), reason="recorded early", corrected_by="ops")
    settle_late_facts(conn)
    assert sorted(key[1].day for key in balances(conn)) == [10, 11, 12]
    correct_lease(conn, wrong, free_days=9, reason="a gift", corrected_by="ops")
    settle_late_facts(conn)
    assert [key[1].day for key in balances(conn)] == [12]
    correct_lease(conn, wrong, free_days=8, reason="one too many", corrected_by="ops")
    settle_late_facts(conn)
    assert sorted(key[1].day for key in balances(conn)) == [11, 12]
    with pytest.raises(RegistryRefused, match="no lease 99999"):
        correct_lease(conn, 99999, free_days=1, reason="x", corrected_by="ops")
    with pytest.raises(RegistryRefused, match="Nothing to correct"):
        correct_lease(conn, wrong, reason="x", corrected_by="ops")
    with pytest.raises(psycopg.Error, match="fixed at its hand-over"), conn.transaction():
        conn.execute("UPDATE leases SET free_days = 30")


@pytest.mark.parametrize("table", ["ledger_entries", "billing_days", "billing_time_zones", "lease_corrections"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_history_is_append_only(conn: psycopg.Connection, table: str, statement: str) -> None:
    column = {"ledger_entries": "amount", "lease_corrections": "reason", "billing_time_zones": "zone"}.get(
        table, "charges"
    )
    with pytest.raises(psycopg.Error, match="append-only"):
        conn.execute(statement.format(table, column, column))


def test_a_lease_day_cannot_be_charged_twice_by_anyone(conn: psycopg.Connection) -> None:
    use(conn)
    price(conn, "31.00", date(2026, 1, 1))
    lease(conn, 1, at("2026-03-01 10:00"))
    bill_days(conn, now=at("2026-03-13 00:15"))
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute(
            "INSERT INTO ledger_entries (lease, day, number, kind, amount, currency)"
            " SELECT lease, day, number, kind, amount, currency FROM ledger_entries"
        )


@pytest.mark.parametrize(
    ("zone", "day", "begins"),
    [
        ("Europe/Paris", "2026-03-29", "2026-03-28T23:00Z"),
        ("Europe/Paris", "2026-03-30", "2026-03-29T22:00Z"),
        ("Atlantic/Azores", "2026-10-25", "2026-10-25T00:00Z"),  # 00:00 comes twice: the first
        ("America/Havana", "2025-11-02", "2025-11-02T04:00Z"),  # likewise
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00Z"),  # 00:00 is skipped: 01:00
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00Z"),  # likewise
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00Z"),  # the whole date is skipped
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00Z"),
    ],
)
def test_a_day_begins_at_its_first_instant(conn: psycopg.Connection, zone: str, day: str, begins: str) -> None:
    ((found,),) = conn.execute("SELECT billing_day_begins(%s, %s)", (day, zone)).fetchall()
    assert found == datetime.fromisoformat(begins)


def test_the_free_days_end_at_the_same_time_of_day_through_summer_time(conn: psycopg.Connection) -> None:
    use(conn)
    lease(conn, 1, at("2026-03-24 10:00"))  # clocks go forward on the 29th
    lease(conn, 2, at("2026-03-22 02:30"))  # ends in the hour that is skipped
    lease(conn, 3, at("2026-10-18 02:30"))  # ends in the hour that comes twice: the second, for the customer
    found = [row[0] for row in conn.execute("SELECT free_until FROM billing_leases ORDER BY id")]
    assert found == [
        at("2026-03-31 10:00"),
        at("2026-03-29 03:30"),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    ]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_new_zone_neither_doubles_nor_loses_a_day(conn: psycopg.Connection, zone: str) -> None:
    use(conn)
    price(conn, "31.00", date(2026, 1, 1))
    lease(conn, 1, at("2026-02-01 00:00"))
    bill_days(conn, now=at("2026-03-10 12:00"))
    assert apply_settings(conn, Settings(zone), now=at("2026-03-10 12:00")) == [
        f"Days are counted in {zone} from 2026-03-11 on (before: Europe/Paris)."
    ]
    assert apply_settings(conn, Settings(zone), now=at("2026-03-10 12:00")) == []
    begins = datetime(2026, 3, 11, tzinfo=ZoneInfo(zone))
    assert date_of(conn, begins - timedelta(microseconds=1)) == date(2026, 3, 10)
    assert date_of(conn, begins) == date(2026, 3, 11)
    bill_days(conn, now=datetime(2026, 4, 1, 0, 15, tzinfo=ZoneInfo(zone)))
    march = [row for row in ledger(conn) if row[1].month == 3]
    assert [row[1].day for row in march] == list(range(1, 32))
    assert sum(row[4] for row in march) == 31


def test_a_zone_is_refused_that_is_unknown_or_for_days_already_billed_or_that_swallows_a_day(
    conn: psycopg.Connection,
) -> None:
    use(conn)
    lease(conn, 1, at("2026-03-01 00:00"))
    bill_days(conn, now=at("2026-03-10 12:00"))
    with pytest.raises(RegistryRefused, match="knows no time zone"):
        apply_settings(conn, Settings("Mars/Base"), now=at("2026-03-10 12:00"))
    with pytest.raises(psycopg.Error, match="choose a later day"), conn.transaction():
        conn.execute("INSERT INTO billing_time_zones VALUES ('2026-03-09', 'Asia/Tokyo')")
    apply_settings(conn, Settings("Pacific/Pago_Pago"), now=at("2026-03-10 12:00"))
    with pytest.raises(RegistryRefused, match="no hour"):
        apply_settings(conn, Settings("Pacific/Kiritimati"), now=at("2026-03-20 12:00"))


def test_the_setting_for_free_days_holds_for_later_leases_only(conn: psycopg.Connection) -> None:
    use(conn)
    price(conn, "31.00", date(2026, 1, 1))
    first = lease(conn, 1, at("2026-03-01 10:00"))
    assert len(apply_settings(conn, Settings("Europe/Paris", free_days=3))) == 1
    second = lease(conn, 2, at("2026-03-01 10:00"))
    bill_days(conn, now=at("2026-03-10 00:15"))
    days: dict[int, list[int]] = {}
    for entry in ledger(conn):
        days.setdefault(entry[0], []).append(entry[1].day)
    assert days == {first: [9], second: [5, 6, 7, 8, 9]}


def test_a_price_must_fit_its_currency(conn: psycopg.Connection) -> None:
    for monthly, currency, sentence in (("9.999", "EUR", "more decimals"), ("9.5", "JPY", "more decimals")):
        with pytest.raises(psycopg.Error, match=sentence), conn.transaction():
            price(conn, monthly, date(2026, 1, 1), currency)
    with pytest.raises(psycopg.errors.ForeignKeyViolation), conn.transaction():
        price(conn, "9.00", date(2026, 1, 1), "XQQ")


def test_the_clock_can_be_moved_in_the_database(conn: psycopg.Connection) -> None:
    use(conn)
    lease(conn, 1, datetime.now(UTC))
    conn.execute("SET transhumance.clock_offset = '9 days'")
    bill_days(conn)
    assert billed_through(conn) == (datetime.now(PARIS) + timedelta(days=8)).date()


def test_a_day_that_costs_nothing_is_charged_all_the_same(conn: psycopg.Connection) -> None:
    use(conn)
    price(conn, "0.00", date(2026, 1, 1))
    lease(conn, 1, at("2026-03-01 10:00"))
    bill_days(conn, now=at("2026-03-11 00:15"))
    lease(conn, 2, at("2026-03-01 10:00"))
    settle_late_facts(conn)
    assert [(row[1].day, row[3], str(row[4])) for row in ledger(conn)] == [
        (9, "charge", "0.00"),
        (10, "charge", "0.00"),
    ] * 2
