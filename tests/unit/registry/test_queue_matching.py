"""Who takes which transit: the pure part of the queue."""

from datetime import UTC, datetime, timedelta

from include.registry.queue import Offered, Wanted, best, estimates, fits

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SMALL, LARGE, ODD = (2, 4, 40), (4, 8, 80), (8, 2, 80)
WEEK = timedelta(days=7)


def wanted(id=1, larger=False, customer="c", site=None):
    return Wanted(id, id, f"vps-{id}", customer, "small", larger, SMALL, site)


def offered(name, plan="small", size=SMALL, reserved_for=None, days=0, site=None):
    return Offered(name, plan, reserved_for, size, NOW + timedelta(days=days), site)


def test_own_plan_fits_and_others_do_not():
    assert fits(wanted(), offered("t"))
    assert not fits(wanted(), offered("t", "large", LARGE))


def test_larger_fits_when_ops_allow_it_and_nothing_is_smaller():
    assert fits(wanted(larger=True), offered("t", "large", LARGE))
    assert not fits(wanted(larger=True), offered("t", "odd", ODD))


def test_reserved_is_for_one_customer():
    assert fits(wanted(customer="c"), offered("t", reserved_for="c"))
    assert not fits(wanted(customer="d"), offered("t", reserved_for="c"))


def test_preference():
    offers = [offered("a", "large", LARGE), offered("b"), offered("c", reserved_for="c")]
    assert best(wanted(larger=True), offers) == offers[2]
    assert best(wanted(larger=True), offers[:2]) == offers[1]
    assert best(wanted(larger=True), offers[:1]) == offers[0]
    assert best(wanted(), offers[:1]) is None


def test_estimate_plays_the_queue():
    queue = [wanted(1), wanted(2), wanted(3)]
    offers = [offered("a", days=2), offered("b", days=5)]
    expected = [2, 5, 9]
    assert [at and (at - NOW).days for at in estimates(queue, offers, WEEK)] == expected
    assert estimates(queue, [], WEEK) == [None] * len(queue)
