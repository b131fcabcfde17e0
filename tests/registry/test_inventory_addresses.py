"""Addresses are taken as they are, and what cannot be done with them is refused where it is to be done; what is chosen
for a server is chosen in its site."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
import pytest

from include import registry
from include.inventory import difference
from tests.registry.documents import HOST, host, servers
from tests.registry.host import DISK, KEY

ENTRY = registry.Entry("2026", "A new Debian", "infrastructure", "2022", "2026")


def begun(conn: psycopg.Connection, **vps: Any) -> None:
    """The host with an account on a VPS that has these addresses, whose migration begins."""
    difference.apply(conn, host(servers=servers(vps_1=vps)), "ops")
    registry.sync_catalogue(conn, [ENTRY])
    registry.enrol_server(conn, "vps-1", "2022", KEY, {"debian": "12"})
    registry.add_account(conn, "blog", "vps-1", ["blog.example"])
    registry.begin_migration(conn, "vps-1", "2026", "run-1", "ops", "a test")


@pytest.mark.parametrize(
    ("vps", "sentence"),
    [
        ({"lan_address": None}, "vps-1 has no IPv4 LAN address, .*lan_address in the inventory"),
        ({"lan_address6": None}, "vps-1 has no IPv6 LAN address, .*lan_address6 in the inventory"),
        ({"management_address": "fd20::11"}, "is managed at fd20::11, but is installed over IPv4"),
        ({"management_address": "198.51.100.11"}, "198.51.100.11 is the management address of vps-1 and a service"),
        ({"lan_address6": "2001:db8:100::11"}, "2001:db8:100::11 is the IPv6 LAN address of vps-1 and a service"),
    ],
)
def test_a_server_whose_addresses_do_not_do_is_not_migrated(
    conn: psycopg.Connection, vps: dict[str, str | None], sentence: str
) -> None:
    with pytest.raises(registry.RegistryRefused, match=sentence):
        begun(conn, **vps)
    assert registry.unfit_addresses(conn, registry.server(conn, "vps-1")), "the doctor says the same"
    assert registry.migration_of(conn, "vps-1") is None


def test_one_whose_addresses_do_is_migrated(conn: psycopg.Connection) -> None:
    begun(conn)
    assert registry.unfit_addresses(conn, registry.server(conn, "vps-1")) == []


def test_of_other_servers_nothing_is_asked(conn: psycopg.Connection) -> None:
    difference.apply(conn, host(), "ops")
    assert registry.unfit_addresses(conn, registry.server(conn, "web-1")) == []
    assert registry.missing_addresses(registry.server(conn, "web-1")), "but it cannot be installed again"


@pytest.mark.parametrize("lacking", [{"lan_address": None}, {"lan_address6": None}, {"management_address": "fd20::1"}])
def test_a_transit_whose_addresses_do_not_do_is_offered_to_nobody(
    conn: psycopg.Connection, lacking: dict[str, str | None]
) -> None:
    begun(conn)
    difference.apply(conn, host(servers=servers(transit_1=lacking)), "ops")
    assert registry.unfit_addresses(conn, registry.server(conn, "transit-1"))
    id = registry.certain(registry.migration_of(conn, "vps-1")).id
    with pytest.raises(registry.RegistryRefused, match="The pool has no transit in site Zurich that fits plan M"):
        registry.request_transit(conn, id)


def test_a_transit_is_assigned_in_its_own_site_only(conn: psycopg.Connection) -> None:
    begun(conn)
    id = registry.certain(registry.migration_of(conn, "vps-1")).id
    registry.request_transit(conn, id)
    registry.pause_server(conn, "transit-1", "a broken fan", "ops")
    elsewhere = {
        **HOST["servers"][2],
        "name": "transit-2",
        "site": "Bern",
        "management_address": "10.20.0.102",
        "lan_address": "10.30.0.102",
        "lan_address6": "fd30::102",
    }
    difference.apply(conn, host(servers=[*HOST["servers"], elsewhere]), "ops")
    assert registry.assign_transit(conn, id) is None, "the free one is in Bern"
    assert registry.certain(registry.place_in_queue(conn, id)).estimate is None
    difference.apply(conn, host(servers=[*HOST["servers"], {**elsewhere, "site": "Zurich"}]), "ops")
    assert registry.assign_transit(conn, id) == "transit-2"


def test_no_transit_of_another_site_is_waited_for(conn: psycopg.Connection) -> None:
    with pytest.raises(registry.RegistryRefused, match="The pool has no transit in site Bern that fits plan M"):
        begun(conn, site="Bern")


def shared(name: str, number: int, site: str, kind: str = "shared") -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "plan": "S",
        "site": site,
        "infrastructure": "2026",
        "management_address": f"10.20.0.{number}",
    }


@pytest.mark.parametrize("site", ["Zurich", "Bern"])
def test_an_account_is_tested_and_performed_within_its_site(conn: psycopg.Connection, site: str) -> None:
    added = [shared("web-2", 32, site), shared("test-1", 41, site, "test")]
    difference.apply(conn, host(servers=[*HOST["servers"], *added]), "ops")
    registry.sync_catalogue(conn, [ENTRY])
    for name, version in (("web-1", "2022"), ("web-2", "2026"), ("test-1", "2026")):
        registry.enrol_server(conn, name, version, KEY + name.replace("-", ""), {"debian": "12"})
        registry.record_description(conn, name, DISK)
    registry.add_account(conn, "blog", "web-1", ["blog.example"])
    if site == "Zurich":
        assert registry.begin_test(conn, "blog", "2026", "test-1", "ops").server == "test-1"
        return
    with pytest.raises(registry.RegistryRefused, match="No test server in site Zurich with infrastructure 2026"):
        registry.begin_test(conn, "blog", "2026", "test-1", "ops")
    with pytest.raises(registry.RegistryRefused, match="No shared server in site Zurich with infrastructure 2026"):
        registry.begin_over(conn, "blog", "2026", "run-1", "ops", lift_gate_because="a test")
    named = registry.begin_over(conn, "blog", "2026", "run-1", "ops", "web-2", lift_gate_because="a test")
    assert named.to_server == "web-2", "a person may name one elsewhere"


@pytest.mark.parametrize(
    "other", [{"lan_address": "10.30.0.99"}, {"lan_address6": "fd30::99"}, {"customer": "Baker"}, {"site": "Bern"}]
)
def test_a_server_that_is_added_again_otherwise_is_refused(conn: psycopg.Connection, other: dict[str, str]) -> None:
    difference.apply(conn, host(), "ops")
    vps = registry.server(conn, "vps-1")
    fields = {field: getattr(vps, field) for field in (*registry.CHANGEABLE, "infrastructure")}
    assert registry.add_server(conn, "vps-1", **fields) == vps
    with pytest.raises(registry.RegistryRefused, match="exists with another kind, plan, customer, site or address"):
        registry.add_server(conn, "vps-1", **(fields | other))


def test_a_plan_that_is_added_again_at_another_price_is_refused(conn: psycopg.Connection) -> None:
    difference.apply(conn, host(), "ops")
    size = (2, 4 << 30, 80 << 30)
    assert registry.add_plan(conn, "M", HOST_PRICE, "CHF", *size) == registry.plan(conn, "M")
    with pytest.raises(registry.RegistryRefused, match="Plan M has cost 29.90 CHF from the beginning"):
        registry.add_plan(conn, "M", HOST_PRICE + 1, "CHF", *size)


HOST_PRICE = Decimal("29.90")
