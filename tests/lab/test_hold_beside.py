"""What a hostile neighbour does does not lengthen a hold beyond the processors that it takes: an account with all its
stores goes from one server to another without him, and back beside him."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import visitors as seen_by
from benchmarks.accounts import Sizes, fill
from include.agent import verbs
from include.agent.verbs.reports import Switched
from lab.accounts.certificates import authority
from tests.lab.agents import Move, Place, Side, measured, side
from tests.lab.handles import Lab
from tests.lab.hostile_neighbour import Neighbour

NAME, UID, DOMAIN = "quarry", 2711, "quarry.example"
TURNS = (False, True)
"""Whether he is there, on the way out and on the way back."""
DEADLINE = 10_000.0
"""When tables went over whole because of him, or his sockets were counted, a hold ran into it, in ms. What his seven
programs take of the machine's processors he takes here as well: how much longer the hold is for that is printed."""


@pytest.fixture(scope="module")
def sides(lab: Lab) -> Iterator[list[Side]]:
    with lab.fresh("2026", "2026") as machines:
        found = [side(lab, machine) for machine in machines]
        for one in found:
            one.host.call(verbs.AcceptIps(ips=list(lab.server(one.name).ips)))
        yield found


def written_on(target: Side) -> list[Any]:
    """When, or how often, the tables were written to that no visitor writes to."""
    times = f"SELECT MAX(UPDATE_TIME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{NAME}'"
    times += " AND TABLE_NAME LIKE 'item%'"
    counts = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE relname LIKE 'item%'"
    as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
    return [
        target.root("mariadb", "-BNe", times).strip(),
        target.root(*as_postgres, "psql", "-XAtd", NAME, "-c", counts).strip(),
    ]


def test_a_hold_beside_a_hostile_neighbour_ends_in_time_and_loses_nothing(lab: Lab, sides: list[Side]) -> None:
    statement = lab.at_home(fill, Place(sides[0]), NAME, UID, Sizes.thirds(12)).account_file
    neighbours = {one.name: Neighbour(one, "loud", 2712) for one in sides}
    holds: dict[bool, list[float]] = {False: [], True: []}
    waits: dict[bool, list[float]] = {False: [], True: []}
    written: set[str] = set()
    source, target = sides
    for epoch, hostile in enumerate(TURNS, start=2):
        asks = ["--account", NAME, "--domain", DOMAIN, "--ca", str(authority()), "--rate", "20"]
        asks += [word for ip in lab.server(source.name).ips for word in ("--address", ip)]
        move = Move(f"beside{epoch}", epoch, statement, source, target)

        def moved(move: Move = move, asks: list[str] = asks) -> tuple[Switched, float]:
            move.prepare()
            before = written_on(move.target)
            with seen_by.probe("load", *asks) as events:
                time.sleep(0.5)
                began = time.time()
                done = move.switch()
                ended = time.time()
                time.sleep(0.3)
            assert written_on(move.target) == before
            seen = seen_by.Waits.of(events, began, ended)
            assert [event for event in events if not event["ok"]] == [] and seen.requests > 10
            written.update(seen_by.acknowledged(events))
            return done, seen.longest

        if hostile:
            with neighbours[source.name].beside(NAME) as did:
                done, longest = moved()
            print("beside:", did)
            assert did.pop("running") == 7 and min(did.values()) > 50, did
        else:
            done, longest = moved()
        print(hostile, source.name, done.held_ms, longest, done.steps)
        holds[hostile].append(measured(done.held_ms))
        waits[hostile].append(longest)
        assert measured(done.verified).equal and measured(done.verified).tables == 10
        assert {(way.store, way.way) for way in done.ways} == {("postgresql", "follow"), ("mariadb", "follow")}
        assert seen_by.lost(written, DOMAIN, lab.server(target.name).ips[0]) == set()
        for one in (source, target):
            one.host.call(verbs.Unpair(move=move.key))
        source.host.call(verbs.Remove(account=NAME))
        source, target = target, source
    for what, found in (("hold", holds), ("longest wait", waits)):
        quiet, beside = (statistics.median(found[hostile]) for hostile in (False, True))
        print(f"{what}: quiet {sorted(found[False])}, beside {sorted(found[True])} ms;", end=" ")
        print(f"median quiet {quiet:.0f} ms, beside {beside:.0f} ms, ratio {beside / quiet:.2f}")
        assert beside < DEADLINE
    evil = "SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'quarry'"
    assert [one.root("mariadb", "-BNe", evil).strip() for one in sides] == ["0", "0"]
