"""Names follow an account on a real name server, and a caching resolver is right as soon as the registry says so."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import psycopg
import pytest

from include import registry
from include.moves import names
from include.network.names import Names
from lab import names as lab_names
from tests.lab.handles import Lab
from tests.registry import host
from tests.support.postgres import create

NAME, LATE = "test-names.example", "test-names-late.example"
HOME, AWAY = "198.51.100.11", "198.51.100.101"
TTL = 4


@pytest.fixture
def zone(lab: Lab) -> Iterator[Names]:
    """The lab's zone with one name of a short TTL, which is lowered to a second."""

    def without() -> None:
        for name in (NAME, LATE):
            lab.names.point(name, "A", lab.names.current(name, "A"), None, TTL)

    without()  # what a killed run of this test has left
    assert lab.names.point(NAME, "A", None, HOME, TTL)
    yield dataclasses.replace(lab.names, lowered_ttl=1)
    without()


def test_a_resolver_knows_the_new_address_as_soon_as_names_are_settled(postgresql: str, zone: Names) -> None:
    with psycopg.connect(create(postgresql, "names_in_the_lab", "template"), autocommit=True) as conn:
        host.add_host(conn, accounts=1)
        conn.execute("DELETE FROM names")
        registry.add_ip(conn, AWAY, "transit-1")
        registry.add_name(conn, NAME, "A", "a1-1", HOME, 2)
        registry.add_account(conn, "a1-1", "vps-1", [NAME, LATE, "test-names.test"])
        id = host.begin(conn)
        registry.request_transit(conn, id)
        registry.assign_transit(conn, id)
        registry.enrol_server(conn, "transit-1", "2026", host.KEY, {})
        asked = time.monotonic()
        assert lab_names.resolve(NAME) == HOME, "from now on it is in the resolver's cache"
        said = names.repoint(conn, zone, "vps-1")
        assert [sentence.split(":")[0] for sentence in said] == [
            f"{LATE} has no address in our DNS",
            "test-names.test is not in our DNS",
        ]
        assert zone.held(NAME, "A") == (HOME, 1)
        assert registry.names_of_account(conn, "a1-1")[0].ttl == TTL, (
            "what the name server said, and not what was believed"
        )
        registry.hand_over(conn, id)
        zone.point(LATE, "A", None, HOME, TTL)
        assert zone.resolve(LATE).records == (("A", HOME, TTL),) and zone.mail_hosts(LATE) == []
        host.moved(conn, "a1-1", "transit-1")
        assert len(names.repoint(conn, zone, "vps-1", "a1-1")) == 1
        assert zone.held(NAME, "A") == zone.held(LATE, "A") == (AWAY, 1)
        # It was lowered too late for a cache that had asked before.
        while not registry.names_settled(conn, "vps-1"):
            time.sleep(0.05)
        assert lab_names.resolve(NAME) == lab_names.resolve(LATE) == AWAY
        assert TTL - 0.5 < time.monotonic() - asked < TTL + 5

        zone.point(LATE, "A", AWAY, "198.51.100.99", 60)
        (_, told) = names.repoint(conn, zone, "vps-1", "a1-1")
        assert told.startswith(f"{LATE} A holds 198.51.100.99, not {AWAY}, so it does not follow a1-1: ")
        assert zone.held(LATE, "A") == ("198.51.100.99", 60)
