"""Names follow their accounts through a migration, whatever dies or is changed by hand between; and what caches may
still hold of them is waited out, neither too short nor too long."""

import itertools
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include import registry
from include.moves import names
from include.network.names import Names
from include.registry.network import ROUNDING
from tests.registry import host
from tests.support.zone import Zone

NAME, OTHER = "a1-1.example", "a1-2.example"
HOME, AWAY = "198.51.100.11", "198.51.100.101"
ELSEWHERE = "203.0.113.9"


def stages(conn: psycopg.Connection, id: int) -> Iterator[str]:
    """A migration from the hand-over to the end, a step at a time."""
    registry.hand_over(conn, id)
    yield "handed over"
    for account in ("a1-1", "a1-2"):
        host.moved(conn, account, "transit-1")
        yield f"{account} out"
    registry.last_account_left(conn, id)
    for ip in registry.ips_of(conn, "vps-1"):
        registry.ip_routed(conn, ip.address, "transit-1")
    for state in ("rerouted", "original_empty", "reinstalling"):
        registry.advance(conn, id, state)
    registry.enrol_server(conn, "vps-1", "2026", host.KEY + "new2", {"debian": "13"})
    registry.advance(conn, id, "reinstalled")
    yield "reinstalled"
    for account in ("a1-1", "a1-2"):
        host.moved(conn, account, "vps-1")
        yield f"{account} home"
    registry.advance(conn, id, "accounts_home")
    for ip in registry.ips_of(conn, "vps-1"):
        registry.ip_routed(conn, ip.address, "vps-1")
    yield "accounts home"


def installing(conn: psycopg.Connection, ttl: int = 3600, believed: int | None = None) -> tuple[int, Zone]:
    """A migration whose transit is installed, and the zone: `believed` is the TTL that the registry knows."""
    host.add_host(conn)
    registry.add_ip(conn, AWAY, "transit-1")
    conn.execute("UPDATE names SET ttl = %(ttl)s, ttl_now = %(ttl)s", {"ttl": believed or ttl})
    id = host.begin(conn)
    registry.request_transit(conn, id)
    registry.assign_transit(conn, id)
    registry.enrol_server(conn, "transit-1", "2026", host.KEY, {"debian": "13"})
    return id, Zone({(name, "A"): (HOME, ttl) for name in (NAME, OTHER)})


def repoint(conn: psycopg.Connection, zone: Zone, account: str | None = None) -> list[str]:
    return names.repoint(conn, cast(Names, zone), "vps-1", account)  # the zone answers as the real one


def wait(conn: psycopg.Connection, zone: Zone, seconds: int) -> None:
    """Time passes."""
    zone.now += seconds
    conn.execute("UPDATE cached_names SET until = until - make_interval(secs => %s)", [seconds])


class Killed(Exception):
    """The worker died."""


class Fragile(Zone):
    """A zone whose next change is the last thing that its caller lives to do, or does not live to do."""

    killed: str | None = None

    def point(self, fqdn: str, rdtype: str, old: str | None, new: str | None, ttl: int) -> bool:
        when, self.killed = self.killed, None
        if when == "before":
            raise Killed
        changed = super().point(fqdn, rdtype, old, new, ttl)
        if when == "after":
            raise Killed
        return changed


WAITS = st.sampled_from([0, 1, 3, 29, 40, 600, 5000])
BETWEEN = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), WAITS),
        st.tuples(st.just("killed"), st.sampled_from(["before", "after"])),
        st.tuples(st.just("ttl"), st.sampled_from([10, 90, 7200])),
    ),
    max_size=3,
)
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def walked(postgresql: str) -> Iterator[psycopg.Connection]:
    from tests.support.postgres import create

    with psycopg.connect(create(postgresql, f"names{next(_numbers)}", "template")) as conn:
        yield conn


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    ttl=st.sampled_from([1, 5, 30, 31, 300, 3600]),
    believed=st.sampled_from([None, 300]),
    between=st.lists(BETWEEN, min_size=8, max_size=8),
)
def test_no_cache_holds_an_earlier_answer_once_names_are_settled(
    walked: psycopg.Connection, ttl: int, believed: int | None, between: list[list[tuple[str, Any]]]
) -> None:
    with walked.transaction(force_rollback=True):
        id, zone = installing(walked, ttl, believed)
        zone = Fragile(zone.records)
        # Where a TTL is changed behind our back, or a worker dies, the wait may be longer than it had to be.
        exact = believed in (None, ttl)
        normal = ttl
        for happens, stage in zip(between, itertools.chain(["before"], stages(walked, id)), strict=False):
            for what, value in happens:
                if what == "wait":
                    wait(walked, zone, value)
                elif what == "ttl":
                    if stage == "before" and not exact:
                        continue  # the TTL that was in force was never seen
                    lowered = registry.names_of_account(walked, "a1-1")[0].lowered
                    zone.put(NAME, "A", zone.records[NAME, "A"][0], value)
                    normal, exact = normal if lowered else value, False
                    repoint(walked, zone)
                else:
                    zone.killed, exact = value, False
                    with pytest.raises(Killed) if zone_changes(walked, zone) else nothing():
                        repoint(walked, zone)
                    zone.killed = None
            assert repoint(walked, zone) == []
            assert repoint(walked, zone) == [], "a second time changes nothing"
            settled_when_no_cache_is_stale(walked, zone, exact)
            assert zone.records[NAME, "A"][1] <= normal
        assert zone.records[NAME, "A"] == (HOME, normal)
        assert zone.records[OTHER, "A"] == (HOME, ttl)
        registry.advance(walked, id, "home")


def zone_changes(conn: psycopg.Connection, zone: Zone) -> bool:
    """Whether repointing would ask the zone for anything."""
    probe = Asked(dict(zone.records))
    with conn.transaction(force_rollback=True):
        repoint(conn, probe)
    return probe.asked


class Asked(Zone):
    """A zone that notes whether it was asked for a change, and makes none."""

    asked = False

    def point(self, fqdn: str, rdtype: str, old: str | None, new: str | None, ttl: int) -> bool:
        self.asked = True
        return False


class nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def settled_when_no_cache_is_stale(conn: psycopg.Connection, zone: Zone, exact: bool) -> None:
    stale = max(zone.stale_until(name, "A") for name in (NAME, OTHER)) - zone.now
    if stale > 1:
        with conn.transaction(force_rollback=True):
            conn.execute("UPDATE cached_names SET until = until - make_interval(secs => %s)", [stale - 1])
            assert not registry.names_settled(conn, "vps-1"), "a cache still holds an earlier answer"
    if exact:
        with conn.transaction(force_rollback=True):
            conn.execute(
                "UPDATE cached_names SET until = until - make_interval(secs => %s)", [max(stale, 0) + ROUNDING + 1]
            )
            assert registry.names_settled(conn, "vps-1"), "longer than any cache"


def test_lowered_at_the_hand_over_pointed_with_the_account_restored_at_home(conn: psycopg.Connection) -> None:
    id, zone = installing(conn)
    repoint(conn, zone)
    assert zone.records == {(NAME, "A"): (HOME, 30), (OTHER, "A"): (HOME, 30)}
    assert registry.names_settled(conn, "vps-1"), "they lead where they led"
    way = stages(conn, id)
    next(way)
    wait(conn, zone, 600)
    assert next(way) == "a1-1 out"
    repoint(conn, zone, "a1-1")
    assert zone.records == {(NAME, "A"): (AWAY, 30), (OTHER, "A"): (HOME, 30)}
    # Caches were filled for an hour until ten minutes ago.
    wait(conn, zone, 2990)
    assert not registry.names_settled(conn, "vps-1")
    wait(conn, zone, 20 + ROUNDING)
    assert registry.names_settled(conn, "vps-1")
    while next(way) != "a1-1 home":
        repoint(conn, zone)
    repoint(conn, zone, "a1-1")
    assert zone.records == {(NAME, "A"): (HOME, 3600), (OTHER, "A"): (AWAY, 30)}


def test_given_up_everything_is_as_it_was(conn: psycopg.Connection) -> None:
    id, zone = installing(conn)
    before = dict(zone.records)
    repoint(conn, zone)
    next(stages(conn, id))
    repoint(conn, zone)
    registry.cancel_migration(conn, id, "they stay", "ops")
    assert repoint(conn, zone) == []
    assert zone.records == before
    zone.put(NAME, "A", HOME, 60)
    assert repoint(conn, zone) == [] and zone.records[NAME, "A"] == (HOME, 60), "what is not ours is left alone"


@pytest.mark.parametrize("when", ["handed over", "a1-1 out", "reinstalled"])
def test_a_name_that_somebody_changed_is_left_and_told_and_stops_nothing(conn: psycopg.Connection, when: str) -> None:
    id, zone = installing(conn)
    repoint(conn, zone)
    for stage in stages(conn, id):
        if stage == when:
            repoint(conn, zone)
            zone.put(NAME, "A", ELSEWHERE, 60)
        said = repoint(conn, zone)
        if stage == when:
            assert said == [
                f"{NAME} A holds {ELSEWHERE}, not {AWAY if when != 'handed over' else HOME}, so it does not follow "
                "a1-1: it is left to whoever changed it; tell us if that was not meant."
            ]
            assert not registry.names_settled(conn, "vps-1"), "caches may hold the answer from before the change"
    assert zone.records == {(NAME, "A"): (ELSEWHERE, 60), (OTHER, "A"): (HOME, 3600)}
    registry.advance(conn, id, "home")
    assert [event.kind for event in registry.list_events(conn, account="a1-1")].count("name.left") in (1, 2)


def test_a_name_that_is_put_right_follows_again(conn: psycopg.Connection) -> None:
    id, zone = installing(conn)
    way = stages(conn, id)
    next(way)
    repoint(conn, zone)
    zone.put(NAME, "A", ELSEWHERE, 60)
    assert repoint(conn, zone) != []
    zone.put(NAME, "A", HOME, 30)
    next(way)
    assert repoint(conn, zone) == []
    assert zone.records[NAME, "A"] == (AWAY, 30)
    assert registry.names_of_account(conn, "a1-1")[0].left_because is None


def test_names_that_were_added_follow_and_those_of_others_are_listed(conn: psycopg.Connection) -> None:
    id, zone = installing(conn)
    next(stages(conn, id))
    domains = ["a1-1.example", "new.example", "cdn.example", "gone.example", "www.a1-1.example", "host.example"]
    registry.add_account(conn, "a1-1", "vps-1", [*domains, "shop.test"])
    mailboxes = ["me@a1-1.example", "me@mail-only.example", "me@post.test"]
    entry = {"account": "a1-1", "sites": [{"domain": d} for d in [*domains, "shop.test"]], "mailboxes": mailboxes}
    entry["forwarders"] = ["@caught.test"]
    registry.sync_accounts(conn, "vps-1", [entry])
    zone.records |= {("new.example", "A"): (HOME, 300), ("cdn.example", "A"): (ELSEWHERE, 300)}
    zone.aliases = {"www.a1-1.example": "a1-1.example", "host.example": "vps-1.example"}
    zone.mail = {"mail-only.example": ["mx.example"]}
    said = repoint(conn, zone)
    assert zone.records["new.example", "A"] == (HOME, 30)
    stays = "it goes on arriving through 198.51.100.11 and 2001:db8:100::11, which we pass on and then reroute; change "
    assert said == [
        f"caught.test is not in our DNS: {stays}nothing.",
        "cdn.example leads to 203.0.113.9, which is not its server: it is left as it is; change nothing.",
        "gone.example has no address in our DNS: nobody reaches it by that name; add it if it is used.",
        f"host.example is an alias of vps-1.example, which is not the account's: {stays}nothing.",
        "Mail for mail-only.example goes to mx.example, which is not the account's: it is left as it is.",
        f"post.test is not in our DNS: {stays}nothing.",
        f"shop.test is not in our DNS: {stays}nothing.",
    ]
    assert sorted(registry.names_elsewhere(conn, id)["a1-1"].values()) == sorted(said)
    repoint(conn, zone)
    assert [event.kind for event in registry.list_events(conn, id)].count("names.elsewhere") == 1
    host.moved(conn, "a1-1", "transit-1")
    repoint(conn, zone, "a1-1")
    assert zone.records["new.example", "A"] == (AWAY, 30)
    # A customer cannot make the transit's own name theirs.
    registry.add_account(conn, "a1-1", "transit-1", ["transit-1.example"])
    zone.records["transit-1.example", "A"] = (AWAY, 600)
    assert (
        "transit-1.example leads to the transit, which others will have after you: point it at 198.51.100.11 and "
        "2001:db8:100::11." in repoint(conn, zone, "a1-1")
    )
    assert zone.records["transit-1.example", "A"] == (AWAY, 600)


def test_who_may_send_mail_by_number_is_told_until_the_transit_may(conn: psycopg.Connection) -> None:
    id, zone = installing(conn)
    domain = sorted(registry.account(conn, "a1-1").domains)[0]
    home, transit = f"ip4:{HOME}/32 ip6:2001:db8:100::11", f"ip4:{AWAY}"
    for record, told in (
        (f"v=spf1 {home} -all", True),
        (f"v=spf1 {home} {transit} ip4:0.0.0.0/0 -all", False),
        ("v=spf1 a mx ip4:192.0.2.77 ip4:nonsense -all", False),
        ("other text", False),
    ):
        zone.senders_of[domain] = record
        said = [sentence for sentence in repoint(conn, zone, "a1-1") if "SPF" in sentence]
        assert len(said) == told, (record, said)
    assert not any("SPF" in key for key in registry.names_elsewhere(conn, id).get("a1-1", {}))
