"""The queue for transits: order, places, estimates, and what ops do with it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from include import registry
from include.billing import apply_settings
from include.registry import RegistryRefused
from include.settings import Settings
from tests.registry import host

DAY = timedelta(days=1)


def ask(conn: psycopg.Connection, *numbers: int) -> list[int]:
    """Begin vps-n's migrations and ask for their transits, in this order; the migrations' ids."""
    ids = [host.begin(conn, n) for n in numbers]
    for id in ids:
        registry.request_transit(conn, id)
    return ids


def transits(conn: psycopg.Connection, ids: list[int]) -> list[str | None]:
    return [registry.migration(conn, id).transit for id in ids]


def give_back(conn: psycopg.Connection, id: int) -> None:
    registry.transit_wiped(conn, id)
    registry.return_transit(conn, id)


def test_first_come_first_served_whoever_asks_first(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=3, transits=1)
    ids = ask(conn, 3, 1, 2)
    assert registry.assign_transit(conn, ids[2]) is None
    assert transits(conn, ids) == ["transit-1", None, None]
    assert registry.assign_transit(conn, ids[0]) == "transit-1"
    assert registry.migration(conn, ids[0]).state == "installing_transit"
    registry.cancel_migration(conn, ids[0], "changed my mind", "customer")
    assert registry.assign_transit(conn, ids[1]) is None, "not wiped yet"
    give_back(conn, ids[0])
    assert registry.assign_transit(conn, ids[2]) is None
    assert registry.assign_transit(conn, ids[1]) == "transit-1"


def test_cancelled_request_leaves_the_queue(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=3, transits=1)
    ids = ask(conn, 1, 2, 3)
    registry.assign_transit(conn, ids[0])
    registry.cancel_migration(conn, ids[1], "no", "customer")
    registry.cancel_migration(conn, ids[1], "no", "customer")
    assert registry.place_in_queue(conn, ids[1]) is None
    assert registry.certain(registry.place_in_queue(conn, ids[2])).place == 1
    assert registry.assign_transit(conn, ids[1]) is None
    again = registry.begin_migration(conn, "vps-2", "2026", "again", "ops", host.UNTESTED)
    registry.request_transit(conn, again.id)
    assert registry.certain(registry.place_in_queue(conn, again.id)).place == 2


def test_cancelled_after_the_hand_over_ends_the_lease(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    id = host.handed_over(conn)
    registry.cancel_migration(conn, id, "no", "customer")
    ended = registry.certain(registry.lease_of(conn, id)).ended_at
    assert ended is not None
    assert registry.server(conn, "transit-1").state == "handed_over"
    registry.may_wipe(conn, id)
    give_back(conn, id)
    assert registry.certain(registry.lease_of(conn, id)).ended_at == ended
    assert registry.server(conn, "transit-1").state == "free"


def test_cancel_waits_for_a_move(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    id = host.handed_over(conn)
    move = registry.begin_move(conn, "a1-1", "transit-1", "r", "customer")
    with pytest.raises(RegistryRefused, match="a1-1 is being moved"):
        registry.cancel_migration(conn, id, "no", "customer")
    registry.advance_move(conn, move.id, "returned")
    assert registry.cancel_migration(conn, id, "no", "customer").state == "cancelled"
    with pytest.raises(RegistryRefused, match="is not being migrated"):
        registry.begin_move(conn, "a1-2", "transit-1", "r2", "customer")


def test_no_cancel_once_an_account_was_created_on_the_transit(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    id = host.handed_over(conn)
    registry.add_account(conn, "new", "transit-1", [])
    with pytest.raises(RegistryRefused, match="accounts live on its transit transit-1 .new."):
        registry.cancel_migration(conn, id, "no", "customer")


def test_paused_and_resumed(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=1, transits=1)
    registry.pause_server(conn, "transit-1", "a broken disk", "ops")
    (id,) = ask(conn, 1)
    assert registry.assign_transit(conn, id) is None
    assert registry.certain(registry.place_in_queue(conn, id)).estimate is None
    registry.resume_server(conn, "transit-1", "ops")
    assert registry.assign_transit(conn, id) == "transit-1"
    kinds = [event.kind for event in registry.list_events(conn, server="transit-1")]
    assert kinds[-3:] == ["server.added", "server.paused", "server.resumed"]
    for name in ("vps-1", "nowhere"):
        with pytest.raises(RegistryRefused):
            registry.pause_server(conn, name, "why", "ops")
    with pytest.raises(RegistryRefused, match="give the reason"):
        registry.pause_server(conn, "transit-1", " ", "ops")


def test_added_transit_serves_the_first(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=3, transits=1)
    ids = ask(conn, 1, 2, 3)
    registry.assign_transit(conn, ids[0])
    host.add_server(conn, "transit-2", "transit", 150)
    assert registry.assign_transit(conn, ids[2]) is None
    assert transits(conn, ids) == ["transit-1", "transit-2", None]


def test_reserved_for_one_customer(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=3, transits=2)
    registry.reserve_transit(conn, "transit-1", "customer-3", "ops")
    ids = ask(conn, 1, 2, 3)
    registry.assign_transit(conn, ids[0])
    assert transits(conn, ids) == ["transit-2", None, "transit-1"]
    with pytest.raises(RegistryRefused, match="has no transit"):
        registry.return_transit(conn, ids[1])


def test_reservation_lifted(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=1, transits=1)
    registry.reserve_transit(conn, "transit-1", "somebody", "ops")
    (id,) = ask(conn, 1)
    assert registry.assign_transit(conn, id) is None
    registry.reserve_transit(conn, "transit-1", None, "ops")
    assert registry.assign_transit(conn, id) == "transit-1"


def test_larger_at_no_cost_only_when_ops_allow_it(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=1, transits=0)
    registry.add_plan(conn, "large", Decimal("79.99"), "EUR", 4, 8 * host.GB, 80 * host.GB)
    registry.add_plan(conn, "odd", Decimal("79.99"), "EUR", 8, 2 * host.GB, 80 * host.GB)
    host.add_server(conn, "odd-1", "transit", 150, plan="odd")
    host.add_server(conn, "large-1", "transit", 151, plan="large")
    with pytest.raises(RegistryRefused, match="no transit that fits plan small"):
        host.begin(conn)
    registry.allow_larger_transit(conn, "small", True, "ops")
    (id,) = ask(conn, 1)
    assert registry.assign_transit(conn, id) == "large-1"
    registry.enrol_server(conn, "large-1", "2026", host.KEY, {})
    assert registry.hand_over(conn, id).plan == "small", "billed as the customer's own server"


def test_older_request_gets_the_larger_one_before_a_younger_of_that_size(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=1, transits=1)
    registry.add_plan(conn, "large", Decimal("79.99"), "EUR", 4, 8 * host.GB, 80 * host.GB)
    registry.allow_larger_transit(conn, "small", True, "ops")
    registry.pause_server(conn, "transit-1", "busy", "ops")
    host.add_server(conn, "large-1", "transit", 151, plan="large")
    host.add_server(conn, "vps-2", "vps", 12, plan="large", customer="c")
    registry.add_account(conn, "big", "vps-2", [])
    ids = ask(conn, 1, 2)
    registry.assign_transit(conn, ids[1])
    assert transits(conn, ids) == ["large-1", None]


def test_move_up_with_a_reason(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=4, transits=1)
    ids = ask(conn, 1, 2, 3, 4)
    with pytest.raises(RegistryRefused, match="give the reason"):
        registry.move_up(conn, ids[3], "", "ops")
    with pytest.raises(RegistryRefused, match="place from 1 to 2"):
        registry.move_up(conn, ids[1], "why", "ops", to_place=3)
    assert registry.move_up(conn, ids[3], "its disk is failing", "ops", to_place=2).place == 2
    assert registry.move_up(conn, ids[2], "a fair", "ops").place == 1
    assert [request.migration for request in registry.waiting(conn)] == [ids[2], ids[0], ids[3], ids[1]]
    moved = [event for event in registry.list_events(conn) if event.kind == "queue.moved_up"]
    assert [(event.by, event.detail["reason"]) for event in moved] == [
        ("ops", "its disk is failing"),
        ("ops", "a fair"),
    ]
    registry.assign_transit(conn, ids[0])
    assert transits(conn, ids) == [None, None, "transit-1", None]
    with pytest.raises(RegistryRefused, match="does not wait"):
        registry.move_up(conn, ids[2], "why", "ops")


def test_place_and_estimate(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=5, transits=2)
    now = datetime.now(UTC)
    for n, days in ((1, 2), (2, 5)):
        id = host.begin(conn, n)
        registry.request_transit(conn, id)
        registry.enrol_server(conn, registry.certain(registry.assign_transit(conn, id)), "2026", host.KEY, {})
        registry.hand_over(conn, id, now - (7 - days) * DAY)
    ids = ask(conn, 3, 4, 5)
    places = [registry.certain(registry.place_in_queue(conn, id)) for id in ids]
    assert [(place.place, place.of) for place in places] == [(1, 3), (2, 3), (3, 3)]
    assert [place.estimate for place in places] == [now + 2 * DAY, now + 5 * DAY, now + 9 * DAY]


def test_estimate_goes_by_the_free_days_that_are_set(conn: psycopg.Connection) -> None:
    apply_settings(conn, Settings("UTC", free_days=14))
    host.add_host(conn, originals=3, transits=1)
    now = datetime.now(UTC)
    id = host.begin(conn, 1)
    registry.request_transit(conn, id)
    registry.enrol_server(conn, registry.certain(registry.assign_transit(conn, id)), "2026", host.KEY, {})
    lease = registry.hand_over(conn, id, now - 3 * DAY)
    assert (lease.free_days, lease.expected_end_at) == (14, now + 11 * DAY)
    estimates = [registry.certain(registry.place_in_queue(conn, waiting)).estimate for waiting in ask(conn, 2, 3)]
    assert estimates == [now + 11 * DAY, now + 25 * DAY]


def test_overdue_lease_is_expected_tomorrow(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=2, transits=1)
    id = host.begin(conn, 1)
    registry.request_transit(conn, id)
    registry.enrol_server(conn, registry.certain(registry.assign_transit(conn, id)), "2026", host.KEY, {})
    registry.hand_over(conn, id, datetime.now(UTC) - 30 * DAY)
    (waiting,) = ask(conn, 2)
    estimate = registry.certain(registry.place_in_queue(conn, waiting)).estimate
    assert estimate
    away = estimate - datetime.now(UTC)
    assert timedelta(hours=23) < away <= DAY
