"""Campaigns and reminders: waves, what begins and what no longer, what is overdue, and each reminder once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from include import registry
from include.registry import RegistryRefused
from include.registry.kinds import EventKind
from tests.registry import host

DEADLINE = date(2027, 3, 31)
DAYS = (30, 7, 1)
SETTINGS = {
    "wave_size": 3,
    "canaries": 2,
    "most_per_server": 2,
    "most_failures_percent": 20,
    "longest_wait_seconds": 1,
}


@pytest.fixture
def due(conn: psycopg.Connection) -> psycopg.Connection:
    """web-1 with accounts b1 to b9, a VPS with two; an entry that is mandatory."""
    host.add_host(conn)
    host.add_server(conn, "web-1", "shared", 31)
    registry.enrol_server(conn, "web-1", "2022", host.KEY, {"postgresql": "15.14"})
    entry = registry.Entry(
        "2026", "A new Debian", "infrastructure", "2022", "2026", True, DEADLINE - timedelta(days=90), DEADLINE
    )
    registry.sync_catalogue(conn, [entry])
    for n in range(1, 10):
        registry.add_account(conn, f"b{n}", "web-1", [], f"customer-{n}")
    return conn


def begun(conn: psycopg.Connection, **settings: int) -> registry.Campaign:
    names = [account.name for account in registry.accounts_before(conn, "2026")]
    return registry.begin_campaign(conn, "2026", "run", "ops", names, SETTINGS | settings)


def states_of(conn: psycopg.Connection, campaign: registry.Campaign) -> dict[str, str]:
    return {one.account: one.state for one in registry.campaign_accounts(conn, campaign.id)}


def test_waves(due: psycopg.Connection) -> None:
    campaign = begun(due)
    assert begun(due) == campaign
    waves = [(one.wave, one.account) for one in registry.campaign_accounts(due, campaign.id)]
    assert waves == [
        *[(1, "b1"), (1, "b2"), (2, "b3"), (2, "b4"), (2, "b5"), (3, "b6"), (3, "b7"), (3, "b8"), (4, "b9")]
    ]
    registry.stop_campaign(due, campaign.id, "a test", "ops")
    without = registry.begin_campaign(due, "2026", "run-2", "ops", ["b1", "b2", "b3", "b4"], SETTINGS | {"canaries": 0})
    assert [one.wave for one in registry.campaign_accounts(due, without.id)] == [1, 1, 1, 2]


def test_campaign_refuses(due: psycopg.Connection) -> None:
    begin = registry.begin_campaign
    with pytest.raises(RegistryRefused, match="nothing to begin"):
        begin(due, "2026", "r", "ops", [], SETTINGS)
    with pytest.raises(RegistryRefused, match="no catalogue entry"):
        begin(due, "2031", "r", "ops", ["b1"], SETTINGS)
    with pytest.raises(RegistryRefused, match="no such account"):
        begin(due, "2026", "r", "ops", ["nobody"], SETTINGS)
    for name, value in {
        "wave_size": 0,
        "canaries": -1,
        "most_per_server": 3,
        "most_failures_percent": 101,
        "longest_wait_seconds": 0,
    }.items():
        with pytest.raises(RegistryRefused, match="correct its settings"):
            begin(due, "2026", "r", "ops", ["b1"], SETTINGS | {name: value})
    with pytest.raises(RegistryRefused, match="needs canaries"):
        begin(due, "2026", "r", "ops", ["b1"], {key: SETTINGS[key] for key in SETTINGS if key != "canaries"})
    begun(due)
    with pytest.raises(RegistryRefused, match="Another campaign performs this entry"):
        begin(due, "2026", "r", "ops", ["b1"], SETTINGS)


def test_paused_campaign_begins_nothing_and_a_stopped_one_never_again(due: psycopg.Connection) -> None:
    campaign = begun(due)
    registry.set_campaign_account(due, campaign.id, "b1", "testing")
    with pytest.raises(RegistryRefused, match="for a reason"):
        registry.pause_campaign(due, campaign.id, " ", "ops")
    registry.pause_campaign(due, campaign.id, "it is Friday", "ops")
    with pytest.raises(RegistryRefused, match="paused: account b2 is not begun"):
        registry.set_campaign_account(due, campaign.id, "b2", "testing")
    registry.set_campaign_account(due, campaign.id, "b1", "performing")
    registry.resume_campaign(due, campaign.id, "ops")
    registry.set_campaign_account(due, campaign.id, "b2", "testing")
    stopped = registry.stop_campaign(due, campaign.id, "2 of 2 failed", "the campaign itself")
    assert registry.stop_campaign(due, campaign.id, "again", "ops") == stopped
    assert (stopped.state, stopped.why) == ("stopped", "2 of 2 failed") and stopped.ended_at
    assert states_of(due, campaign) == {"b1": "performing", "b2": "testing"} | {f"b{n}": "left" for n in range(3, 10)}
    with pytest.raises(RegistryRefused, match="cannot go from stopped to running"):
        registry.resume_campaign(due, campaign.id, "ops")
    registry.set_campaign_account(due, campaign.id, "b1", "done")
    assert registry.finish_campaign(due, campaign.id) == stopped


def test_campaign_is_done_when_every_account_has_ended(due: psycopg.Connection) -> None:
    campaign = registry.begin_campaign(due, "2026", "run", "ops", ["b1", "b2"], SETTINGS)
    registry.set_campaign_account(due, campaign.id, "b1", "performing")
    registry.set_campaign_account(due, campaign.id, "b1", "done")
    with pytest.raises(RegistryRefused, match="accounts left"):
        registry.finish_campaign(due, campaign.id)
    with pytest.raises(RegistryRefused, match="give it"):
        registry.set_campaign_account(due, campaign.id, "b2", "left")
    registry.set_campaign_account(due, campaign.id, "b2", "left", "It has blockers.")
    registry.set_campaign_account(due, campaign.id, "b2", "left", "It has blockers.")
    with pytest.raises(RegistryRefused, match="not of campaign"):
        registry.set_campaign_account(due, campaign.id, "b3", "done")
    assert registry.finish_campaign(due, campaign.id).state == "done"
    kinds = [event.kind for event in registry.list_events(due, account="b2")]
    assert kinds.count("campaign.account.left") == 1


def test_what_is_foreseen_counts_until_a_test_says_more_and_is_written_once(due: psycopg.Connection) -> None:
    look = {"sentence": "The files cannot be read: data/a: end the program.", "who": "customer"}

    def foresee(*obstacles: dict[str, str], left: Sequence[str] = ()) -> None:
        registry.foresee(due, "b1", "2026", list(obstacles), list(left), "why", "a test")

    def written() -> list[Any]:
        log = registry.list_events(due, account="b1")
        return [event.detail["obstacles"] for event in log if event.kind == EventKind.ACCOUNT_FORESEEN]

    foresee()
    assert registry.foreseen(due, "b1", "2026") is None and written() == [], "nothing in the way is no news"
    foresee(look)
    foresee(look)
    assert registry.certain(registry.foreseen(due, "b1", "2026")).obstacles == [look] and written() == [[look]]
    assert registry.foreseen(due, "b2", "2026") is registry.foreseen(due, "b1", "another") is None
    foresee(look, left=["a pipe"])
    assert registry.certain(registry.foreseen(due, "b1", "2026")).left == ["a pipe"]
    foresee()
    foresee()
    assert registry.certain(registry.foreseen(due, "b1", "2026")).obstacles == [] and len(written()) == 3
    foresee(look)
    host.add_server(due, "test-1", "test", 41)
    registry.enrol_server(due, "test-1", "2026", host.KEY + "test", {})
    disk = {"disk": {"total_bytes": 100 * host.GB, "free_bytes": 50 * host.GB}, "accounts": []}
    registry.record_description(due, "test-1", disk)
    test = registry.begin_test(due, "b1", "2026", "test", "its customer")
    registry.advance_test(due, test.id, "copying", names={})
    assert registry.certain(registry.foreseen(due, "b1", "2026")).obstacles == [look]
    registry.record_test_report(due, test.id, {"findings": []}, 0, 0)
    assert registry.foreseen(due, "b1", "2026") is None, "the newer word counts"
    foresee(look)
    assert registry.certain(registry.foreseen(due, "b1", "2026")).obstacles == [look], "and so does a newer look"


def test_overdue_from_the_deadline_on(due: psycopg.Connection) -> None:
    assert registry.overdue(due, "2026", DEADLINE - timedelta(days=1)) == []
    assert [account.name for account in registry.overdue(due, "2026", DEADLINE)] == [f"b{n}" for n in range(1, 10)]
    registry.remove_account(due, "b1", "gone", "ops")
    optional = registry.Entry("2026", "A new Debian", "infrastructure", "2022", "2026")
    assert "b1" not in [account.name for account in registry.overdue(due, "2026", DEADLINE)]
    registry.sync_catalogue(due, [optional])
    assert registry.overdue(due, "2026", DEADLINE) == []


def told(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    found = conn.execute(
        "SELECT payload ->> 'reminder', payload ->> 'account', channel, payload ->> 'to' FROM outbox ORDER BY id"
    ).fetchall()
    conn.commit()
    return found


@pytest.mark.parametrize(
    ("days", "kind"),
    [(91, None), (90, "opening"), (31, "opening"), (30, "30_days"), (8, "30_days"), (7, "7_days"), (1, "1_day")]
    + [(0, "end"), (-100, "end")],
)
def test_each_reminder_on_its_days(due: psycopg.Connection, days: int, kind: str | None) -> None:
    on = DEADLINE - timedelta(days=days)
    assert registry.remind(due, on, DAYS) == (11 if kind else 0), "nine shared accounts and two of a VPS"
    assert registry.remind(due, on, DAYS) == 0
    assert {row[0] for row in told(due)} == ({kind} if kind else set())


def test_reminders_once_whatever_ran_or_did_not(due: psycopg.Connection) -> None:
    for n in range(2, 10):
        registry.remove_account(due, f"b{n}", "gone", "ops")
    for name in ("a1-1", "a1-2"):
        registry.remove_account(due, name, "gone", "ops")
    registry.set_customer_mail(due, "customer-1", "someone@example.org")
    for days in [*range(100, 20, -1), *range(12, -5, -1)]:
        registry.remind(due, DEADLINE - timedelta(days=days), DAYS)
    kinds = ["opening", "30_days", "7_days", "1_day", "end"]
    assert [row[0] for row in told(due) if row[2] == "webhook"] == kinds
    assert [(row[0], row[3]) for row in told(due) if row[2] == "mail"] == [(k, "someone@example.org") for k in kinds]


@pytest.mark.parametrize(("days", "kind"), [(15, "30_days"), (14, "14_days"), (8, "14_days"), (2, "2_days")])
def test_a_reminder_more_is_a_number_more(due: psycopg.Connection, days: int, kind: str) -> None:
    assert registry.remind(due, DEADLINE - timedelta(days=days), (30, 14, 7, 2)) == 11
    assert {row[0] for row in told(due)} == {kind}


@pytest.mark.parametrize("mail", ["nobody", "a@b\nBcc: c@d", "a b@c", "@c", "a@", "x" * 250 + "@example.org"])
def test_mail_address_is_one(due: psycopg.Connection, mail: str) -> None:
    with pytest.raises(RegistryRefused, match="not a mail address"):
        registry.set_customer_mail(due, "c", mail)


def test_catalogue_is_brought_up_to_date(conn: psycopg.Connection) -> None:
    first = registry.Entry("2026", "A new Debian", "infrastructure", "2022", "2026")
    dated = registry.Entry(
        "2026", "A newer Debian", "infrastructure", "2022", "2026", True, DEADLINE - timedelta(days=90), DEADLINE
    )
    other = registry.Entry("mariadb-11.8", "MariaDB 11.8", "mariadb", "10.11", "11.8")
    assert registry.sync_catalogue(conn, [other, first]) == registry.sync_catalogue(conn, [first, other])
    assert registry.sync_catalogue(conn, [dated]) == [dated, other]
    changes = [event.detail["name"] for event in registry.list_events(conn) if event.kind == "catalogue.changed"]
    assert changes == ["2026", "mariadb-11.8", "2026"]
    for wrong, match in (
        ({"opens": DEADLINE}, "opens before its deadline"),
        ({"deadline": None, "opens": None}, "mandatory catalogue entry has a deadline"),
        ({"to_version": "2022"}, "leads to another version"),
        ({"kind": "punched cards"}, r"kind is infrastructure, or an engine \(mariadb, postgresql"),
        ({"title": ""}, "has a title"),
    ):
        with pytest.raises(RegistryRefused, match=match):
            registry.sync_catalogue(conn, [replace(dated, **wrong)])
