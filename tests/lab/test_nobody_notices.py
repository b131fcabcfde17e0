"""Nobody notices a move: an account with all its stores, asked 50 times a second, out and on; and its neighbour.

The times are the benchmarks' business, on a machine that does nothing else; what must never happen is here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import visitors as seen_by
from benchmarks.accounts import Sizes, fill
from include.agent import verbs
from include.hosts import AgentError
from lab.accounts.certificates import authority
from tests.lab.agents import Move, Place, Side, measured, side, visitors
from tests.lab.handles import Lab

NAME, DOMAIN = "unnoticed", "unnoticed.example"


@pytest.fixture(scope="module")
def sides(lab: Lab) -> Iterator[tuple[Side, Side, Side]]:
    """The old infrastructure, and two servers of the new one."""
    with lab.fresh("2022", "2026", "2026") as machines:
        old, new, other = (side(lab, machine) for machine in machines)
        for one in (old, new, other):
            one.host.call(verbs.AcceptIps(ips=list(lab.server(one.name).ips)))
        yield old, new, other


@pytest.fixture(scope="module")
def statement(lab: Lab, sides: tuple[Side, Side, Side]) -> dict[str, Any]:
    place = Place(sides[0])
    filled = lab.at_home(fill, place, NAME, 2701, Sizes.thirds(12)).account_file
    sides[0].create("neighbour", 2702)
    return filled


def test_no_request_fails_and_no_write_is_lost(
    lab: Lab, sides: tuple[Side, Side, Side], statement: dict[str, Any]
) -> None:
    old, new, other = sides
    written: set[str] = set()
    for epoch, (source, target) in enumerate([(old, new), (new, other)], start=2):
        address = lab.server(source.name).ips
        asks = ["--account", NAME, "--domain", DOMAIN, "--ca", str(authority()), "--rate", "50"]
        asks += [word for ip in address for word in ("--address", ip)]
        move = Move(f"unnoticed{epoch}", epoch, statement, source, target)
        with seen_by.probe("load", *asks) as events, visitors(old.address, "neighbour.example", epoch * 10_000) as near:
            time.sleep(1)
            began = time.time()
            done = move.prepare().switch()
            ended = time.time()
            time.sleep(1)
        waits = seen_by.Waits.of(events, began, ended)
        assert waits.requests > 50
        assert [event for event in events if not event["ok"]] == []
        written |= seen_by.acknowledged(events)
        assert seen_by.lost(written, DOMAIN, lab.server(target.name).ips[0]) == set()
        verified = measured(done.verified)
        assert verified.equal and verified.tables == 10 and verified.rows > 1000
        assert {(way.store, way.way) for way in done.ways} == {("postgresql", "follow"), ("mariadb", "follow")}
        assert all(way.why for way in done.ways)
        assert near.failed == []
        (left,) = (one for one in source.host.call(verbs.Describe()).accounts if one["account"] == NAME)
        assert left["forwarded"]["http"]["count"] > 0
        for one in (source, target):
            one.host.call(verbs.Unpair(move=move.key))
        source.host.call(verbs.Remove(account=NAME))
        assert leftovers(source) == leftovers(target) == []
    assert old.visits("neighbour") == sorted({*old.visits("neighbour")})


def leftovers(one: Side) -> list[str]:
    """What following has left on a server."""
    sql = (
        "SELECT slot_name FROM pg_replication_slots UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE 'th\\_%'"
        " UNION ALL SELECT subname FROM pg_subscription"
    )
    postgres = one.root("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "psql", "-XAtc", sql)
    users = one.root("mariadb", "-BNe", "SELECT User FROM mysql.global_priv WHERE User LIKE 'th\\_%'")
    channels = one.root("mariadb", "-BNe", "SHOW ALL SLAVES STATUS")
    units = one.root(
        "systemctl", "list-units", "--plain", "--no-legend", "transhumance-watch-*", "transhumance-stream-*"
    )
    return (postgres + users + channels + units).split()


def test_a_wait_that_is_longer_than_agreed_is_explained_and_nothing_begun(
    lab: Lab, sides: tuple[Side, Side, Side], statement: dict[str, Any]
) -> None:
    other, new = sides[2], sides[1]
    # Nobody can be that quick: 0.1 s is less than a hold without any data.
    move = Move("toolong", 9, statement, other, new).prepare()
    address = lab.server(other.name).ips
    asks = ["--account", NAME, "--domain", DOMAIN, "--ca", str(authority()), "--address", address[0]]
    with seen_by.probe("load", *asks) as events:
        time.sleep(0.5)
        with pytest.raises(AgentError, match="would wait about .* more than the 0.1 s .* nothing was begun") as refused:
            move.switch(budget=0.1)
        time.sleep(0.5)
    assert refused.value.code == "over_budget"
    assert other.state(NAME) == "serving"
    assert [event for event in events if not event["ok"]] == []
    for one in (other, new):
        one.host.call(verbs.Unpair(move=move.key))
    assert leftovers(other) == leftovers(new) == []
