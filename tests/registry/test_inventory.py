"""A document is planned, applied and exported: as it says, all of it or nothing, and twice is once."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from include import registry
from include.inventory import difference, text
from include.inventory.document import Inventory
from include.inventory.stored import stored
from tests.registry.callers import Connect, at_once
from tests.registry.content import content
from tests.registry.documents import HOST, documents, host, servers

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"


def planned(conn: psycopg.Connection, document: Inventory) -> list[str]:
    """The plan's lines; nothing may be changed by them."""
    before = content(conn)
    lines = [change.line for change in difference.plan(conn, document, "ops")]
    assert content(conn) == before
    return lines


def applied(conn: psycopg.Connection, document: Inventory) -> list[str]:
    """What was done, as it was planned before."""
    lines = planned(conn, document)
    assert [change.line for change in difference.apply(conn, document, "ops")] == lines
    return lines


def refused(conn: psycopg.Connection, document: Inventory, sentence: str) -> None:
    """Planned as refused; nothing of it is applied, and the sentence says why."""
    assert any(line.startswith("refuse to ") and sentence in line for line in planned(conn, document))
    before = content(conn)
    with pytest.raises(registry.RegistryRefused, match="^Nothing was applied") as refusal:
        difference.apply(conn, document, "ops")
    assert sentence in str(refusal.value) and content(conn) == before


def of(server: str, conn: psycopg.Connection) -> set[str]:
    return {ip.address for ip in registry.ips_of(conn, server)}


def test_a_host_begins_with_its_document(conn: psycopg.Connection) -> None:
    document = host()
    assert applied(conn, document)[:3] == ["add site Bern", "add site Zurich", "add plan M: 29.90 CHF a month"]
    assert registry.plan(conn, "M").monthly_price == Decimal("29.90")
    vps, web = registry.server(conn, "vps-1"), registry.server(conn, "web-1")
    assert (vps.kind, vps.customer, vps.state, vps.site) == ("vps", "Alpine Herders", "serving", "Zurich")
    assert (web.lan_address, web.lan_address6, web.host_key) == (None, None, None)
    assert of("web-1", conn) == {"198.51.100.31", "198.51.100.32"}, "its management address is one of them"
    assert registry.server(conn, "transit-1").state == "free"
    assert stored(conn) == document
    assert planned(conn, document) == []
    assert difference.summary(difference.plan(conn, document, "ops")) == "There is nothing to do."
    assert [event.by for event in registry.list_events(conn) if event.kind == "server.added"] == ["ops"] * 3


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(first=documents(), second=documents())
def test_what_is_applied_is_what_is_exported(conn: psycopg.Connection, first: Inventory, second: Inventory) -> None:
    """On an empty registry any document; then any other one, since nobody's accounts are in the way."""
    with conn.transaction(force_rollback=True):
        difference.apply(conn, first, "ops")
        assert stored(conn) == first == text.read(text.write(stored(conn)))
        assert difference.plan(conn, stored(conn), "ops") == []
        changes = difference.plan(conn, second, "ops")
        if any(change.refused for change in changes):
            assert stored(conn) == first
        else:
            difference.apply(conn, second, "ops")
            assert stored(conn) == with_known_keys(second, first)


def with_known_keys(document: Inventory, before: Inventory) -> Inventory:
    """A host key that is known is not forgotten because a document leaves it out."""
    known = {server.name: server.host_key for server in before.servers}
    servers_ = [
        each.model_copy(update={"host_key": each.host_key or known.get(each.name)}) for each in document.servers
    ]
    return document.model_copy(update={"servers": tuple(servers_)})


def test_a_document_that_lacks_everything_takes_everything_away_that_nobody_needs(conn: psycopg.Connection) -> None:
    difference.apply(conn, host(), "ops")
    lines = applied(conn, Inventory())
    assert {"remove server vps-1", "remove plan M", "remove site Bern", "remove customer Baker"} <= set(lines)
    assert stored(conn) == Inventory()
    assert registry.server(conn, "vps-1").state == "removed", "what happened to it is kept"
    with pytest.raises(registry.RegistryRefused, match="Server vps-1 was removed: add it again before IP 192.0.2.9"):
        registry.add_ip(conn, "192.0.2.9", "vps-1")
    assert "server.removed" in [event.kind for event in registry.list_events(conn, server="vps-1")]
    difference.apply(conn, host(), "ops")
    assert stored(conn) == host(), "and may come back"


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"servers": servers(vps_1={"plan": "S"})}, "change server vps-1: plan M becomes S"),
    ({"servers": servers(vps_1={"site": "Bern"})}, "change server vps-1: site Zurich becomes Bern"),
    ({"servers": servers(vps_1={"customer": "Baker"})}, "change server vps-1: customer Alpine Herders becomes Baker"),
    (
        {"servers": servers(web_1={"management_address": "10.20.0.9", "lan_address": "10.30.0.9"})},
        "change server web-1: management address 198.51.100.31 becomes 10.20.0.9; lan address none becomes 10.30.0.9",
    ),
    ({"servers": servers(vps_1={"infrastructure": "2026"})}, "change server vps-1: infrastructure 2022 becomes 2026"),
    ({"servers": servers(vps_1={"host_key": KEY})}, f"change server vps-1: host key none becomes {KEY}"),
    ({"servers": servers("transit-1")}, "remove server transit-1"),
    ({"servers": servers(web_1={"service_addresses": ["198.51.100.31"]})}, "remove IP 198.51.100.32: of web-1"),
    ({"zones": []}, "remove zone example.net"),
    ({"sites": [*HOST["sites"], {"name": "Chur"}]}, "add site Chur"),
    ({"sites": [{"name": "Zurich"}]}, "remove site Bern"),
    ({"customers": [{"name": "Alpine Herders"}, {"name": "Baker"}]}, "change customer Alpine Herders: mail none"),
]


@pytest.mark.parametrize(("changes", "line"), CHANGES, ids=[line[:60] for _, line in CHANGES])
def test_a_change_is_one_line(conn: psycopg.Connection, changes: dict[str, Any], line: str) -> None:
    difference.apply(conn, host(), "ops")
    assert applied(conn, host(**changes)) == [line]
    assert stored(conn) == host(**changes)
    last = registry.list_events(conn, after=0)[-1]
    assert last.by == "ops"
    applied(conn, host())
    if "host key" not in line:
        assert stored(conn) == host(), "and back"


def test_an_address_goes_to_another_server(conn: psycopg.Connection) -> None:
    difference.apply(conn, host(), "ops")
    moved = servers(
        web_1={"service_addresses": ["198.51.100.31"]},
        transit_1={"service_addresses": ["198.51.100.32"]},
    )
    assert applied(conn, host(servers=moved)) == ["change IP 198.51.100.32: of web-1 becomes transit-1's"]
    replaced = [*servers("web-1"), {**HOST["servers"][1], "name": "web-2"}]
    assert "remove server web-1" in applied(conn, host(servers=replaced))
    assert of("web-2", conn) == {"198.51.100.31", "198.51.100.32"}


def test_two_servers_whose_names_were_swapped_need_two_steps(conn: psycopg.Connection) -> None:
    """The one change that no order does: it is refused, and told."""
    difference.apply(conn, host(), "ops")
    swapped = servers(vps_1={"management_address": "10.20.0.101"}, transit_1={"management_address": "10.20.0.11"})
    refused(conn, host(servers=swapped), "Another server has this management address: give each its own.")


def test_an_address_that_another_server_gives_up_can_be_taken(conn: psycopg.Connection) -> None:
    difference.apply(conn, host(), "ops")
    followed = servers(vps_1={"management_address": "10.20.0.12"}, transit_1={"management_address": "10.20.0.11"})
    applied(conn, host(servers=followed))
    assert registry.server(conn, "transit-1").management_address == "10.20.0.11"


def with_account(conn: psycopg.Connection, server: str = "web-1") -> None:
    difference.apply(conn, host(), "ops")
    registry.enrol_server(conn, server, "2022", KEY, {"debian": "12"})
    registry.add_account(conn, "blog", server, ["blog.example"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"servers": servers("web-1")}, "by IP 198.51.100.31 (blog): move them"),
        ({"servers": servers(web_1={"service_addresses": ["198.51.100.31"]})}, "198.51.100.32 (blog): move them"),
        ({"servers": servers(web_1={"kind": "test"})}, "Server web-1 is a shared, which does not change"),
    ],
)
def test_what_accounts_need_stays(conn: psycopg.Connection, changes: dict[str, Any], sentence: str) -> None:
    with_account(conn)
    refused(conn, host(**changes), sentence)


def test_a_server_without_ips_that_has_accounts_is_not_removed(conn: psycopg.Connection) -> None:
    without = servers(web_1={"service_addresses": None})
    difference.apply(conn, host(servers=without), "ops")
    registry.add_account(conn, "blog", "web-1", ["blog.example"])
    refused(conn, host(servers=servers("web-1")), "Accounts live on server web-1 (blog)")
    registry.remove_account(conn, "blog", "gone", "ops")
    applied(conn, host(servers=servers("web-1")))


def test_a_server_in_a_migration_stays_as_it_is(conn: psycopg.Connection) -> None:
    with_account(conn, "vps-1")
    registry.sync_catalogue(conn, [registry.Entry("2026", "A new Debian", "infrastructure", "2022", "2026")])
    id = registry.begin_migration(conn, "vps-1", "2026", "run-1", "ops", "a test").id
    refused(conn, host(servers=servers(vps_1={"plan": "S"})), "takes part in the migration of vps-1")
    refused(conn, host(servers=servers("vps-1")), "takes part in the migration of vps-1")
    registry.request_transit(conn, id)
    assert registry.assign_transit(conn, id) == "transit-1"
    refused(conn, host(servers=servers("transit-1")), "A server cannot go from assigned to removed")
    refused(conn, host(servers=servers(transit_1={"lan_address": "10.30.0.5"})), "the migration of vps-1")
    registry.may_install_transit(conn, id)
    registry.enrol_server(conn, "transit-1", "2026", KEY, {"debian": "13"})
    registry.hand_over(conn, id)
    without_m = host(plans=[HOST["plans"][0]], servers=servers(vps_1={"plan": "S"}, transit_1={"plan": "S"}))
    refused(conn, without_m, "Servers have plan M (transit-1, vps-1)")
    assert planned(conn, host()) == []


def test_a_host_may_say_its_first_site_at_any_time(conn: psycopg.Connection) -> None:
    nowhere = [{**server, "site": None} for server in HOST["servers"]]
    without = [{field: value for field, value in server.items() if value is not None} for server in nowhere]
    difference.apply(conn, host(sites=[], servers=without), "ops")
    registry.add_account(conn, "blog", "vps-1", ["blog.example"])
    registry.sync_catalogue(conn, [registry.Entry("2026", "A new Debian", "infrastructure", "2022", "2026")])
    registry.begin_migration(conn, "vps-1", "2026", "run-1", "ops", "a test")
    applied(conn, host())
    refused(conn, host(servers=servers(vps_1={"site": "Bern"})), "takes part in the migration of vps-1")
    refused(conn, host(sites=[], servers=without), "takes part in the migration of vps-1")


def test_a_key_that_went_with_a_wipe_does_not_come_back(conn: psycopg.Connection) -> None:
    with_key = host(servers=servers(transit_1={"host_key": KEY}))
    difference.apply(conn, with_key, "ops")
    conn.execute("UPDATE servers SET versions = '{\"debian\": \"13\"}', host_key = NULL WHERE name = 'transit-1'")
    kept = "keep server transit-1: host key none, as it was enrolled; the document says otherwise"
    assert applied(conn, with_key) == [kept]


def test_a_plan_by_which_a_transit_is_leased_is_not_withdrawn(conn: psycopg.Connection) -> None:
    test_a_server_in_a_migration_stays_as_it_is(conn)
    conn.execute("ALTER TABLE servers DISABLE TRIGGER USER; UPDATE servers SET plan = 'S'")
    refused(conn, host(plans=[HOST["plans"][0]], servers=servers(vps_1={"plan": "S"}, transit_1={"plan": "S"})),
            "Transits are asked for or leased by plan M (vps-1)")  # fmt: skip


def test_what_a_server_was_found_to_be_is_kept(conn: psycopg.Connection) -> None:
    with_account(conn)
    otherwise = host(servers=servers(web_1={"infrastructure": "2026", "host_key": KEY + "x"}))
    kept = f"keep server web-1: infrastructure 2022, host key {KEY}, as it was enrolled; the document says otherwise"
    assert applied(conn, otherwise) == [kept]
    assert registry.server(conn, "web-1").host_key == KEY
    assert planned(conn, host()) == [], "enrolment pinned the key: the document need not have it"
    assert planned(conn, stored(conn)) == []


def test_a_plan_that_was_withdrawn_is_given_to_no_server(conn: psycopg.Connection) -> None:
    difference.apply(conn, host(), "ops")
    difference.apply(conn, Inventory(), "ops")
    with pytest.raises(registry.RegistryRefused, match="Plan S was withdrawn: offer it again"):
        registry.add_server(conn, "web-2", "shared", "S", "2022", None, "10.20.0.32", None, None)
    assert "plan.withdrawn" in [event.kind for event in registry.list_events(conn)]


def test_two_who_apply_at_once_take_turns(conn: psycopg.Connection, connect: Connect) -> None:
    def apply(other: psycopg.Connection) -> int:
        return len(difference.apply(other, host(), "ops"))

    *others, first = sorted(count for count in at_once(connect, [apply] * 4) if isinstance(count, int))
    assert others == [0, 0, 0] and first > 10
    assert stored(conn) == host()


def test_a_customer_who_has_something_stays(conn: psycopg.Connection) -> None:
    with_account(conn)
    registry.set_customer(conn, "blog", "Baker")
    refused(conn, host(customers=HOST["customers"][:1]), "Customer Baker has account blog")


def prices(*later: dict[str, str]) -> dict[str, Any]:
    plan = {**HOST["plans"][1], "prices": [{"monthly": "29.90", "currency": "CHF"}, *later]}
    return {"plans": [HOST["plans"][0], plan]}


def test_a_price_begins_on_a_day_to_come(conn: psycopg.Connection) -> None:
    difference.apply(conn, host(), "ops")
    tomorrow, later = (str(date.today() + timedelta(days=days)) for days in (2, 40))
    dearer = {"monthly": "35", "currency": "CHF", "from": later}
    assert applied(conn, host(**prices(dearer))) == [f"add plan M: 35 CHF a month from {later}"]
    assert applied(conn, host(**prices({**dearer, "monthly": "34"}))) == [f"change plan M: 34 CHF a month from {later}"]
    sooner = {**dearer, "from": tomorrow}
    assert len(applied(conn, host(**prices(sooner)))) == 2
    assert [str(price.valid_from) for price in registry.prices_of(conn, "M")] == ["1970-01-01", tomorrow]
    assert applied(conn, host()) == [f"remove plan M: 35 CHF a month from {tomorrow}"]
    assert registry.plan(conn, "M").monthly_price == Decimal("29.90")


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (prices({"monthly": "35", "currency": "CHF", "from": "2026-01-01"}), "let it begin on a later day"),
        (prices({"monthly": "35", "currency": "CHF", "from": str(date.today())}), "let it begin on a later day"),
        ({"plans": [HOST["plans"][0], {**HOST["plans"][1], "cpus": 4}]}, "exists with another size"),
        (
            {"plans": [HOST["plans"][0], {**HOST["plans"][1], "prices": [{"monthly": "9", "currency": "CHF"}]}]},
            "has been in force",
        ),
    ],
    ids=["past", "today", "size", "first"],
)
def test_what_was_billed_by_is_not_rewritten(conn: psycopg.Connection, plan: dict[str, Any], sentence: str) -> None:
    difference.apply(conn, host(), "ops")
    refused(conn, host(**plan), sentence)


def test_a_price_that_has_been_in_force_is_not_taken_back(conn: psycopg.Connection) -> None:
    past = {"monthly": "35", "currency": "CHF", "from": "2026-01-01"}
    difference.apply(conn, host(**prices(past)), "ops")
    refused(conn, host(), "has been in force")


@pytest.mark.parametrize(
    ("price", "sentence"),
    [
        ({"monthly": "29.901", "currency": "CHF"}, "has more decimals than CHF has"),
        ({"monthly": "29.90", "currency": "XXX"}, "The currency is not known"),
    ],
)
def test_a_price_fits_its_currency(conn: psycopg.Connection, price: dict[str, str], sentence: str) -> None:
    refused(conn, host(plans=[{**plan, "prices": [price]} for plan in HOST["plans"]]), sentence)
