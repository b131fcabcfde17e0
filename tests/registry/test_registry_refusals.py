"""What the registry refuses: always one sentence that says what to do, and nothing is changed."""

import re
from collections.abc import Callable
from decimal import Decimal

import psycopg
import pytest

from include import registry
from include.registry import RegistryRefused
from include.registry.database import SENTENCES
from tests.registry import host
from tests.registry.content import TABLES, content


def refused(
    conn: psycopg.Connection, match: str, function: Callable[..., object], *args: object, **kwargs: object
) -> None:
    before = content(conn)
    with pytest.raises(RegistryRefused, match=match) as caught:
        function(conn, *args, **kwargs)
    assert re.fullmatch(r"[A-Z][^\n]*: [^\n]+\.", str(caught.value)), str(caught.value)
    assert content(conn) == before


def test_begin_migration(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    begin = registry.begin_migration
    refused(conn, "no server nowhere", begin, "nowhere", "2026", "r", "ops")
    refused(conn, "no catalogue entry 2031", begin, "vps-1", "2031", "r", "ops")
    refused(conn, "is a transit server", begin, "transit-1", "2026", "r", "ops")
    host.add_server(conn, "shared-1", "shared", 50)
    refused(conn, "is a shared server", begin, "shared-1", "2026", "r", "ops")
    host.add_server(conn, "vps-9", "vps", 51, customer="c")
    refused(conn, "has no accounts", begin, "vps-9", "2026", "r", "ops")
    registry.sync_catalogue(conn, [registry.Entry("2030", "Later", "infrastructure", "2026", "2030")])
    refused(conn, "runs infrastructure 2022", begin, "vps-1", "2030", "r", "ops")
    registry.add_plan(conn, "huge", Decimal("1"), "EUR", 64, host.GB, host.GB)
    host.add_server(conn, "vps-8", "vps", 52, plan="huge", customer="c")
    registry.add_account(conn, "big", "vps-8", [])
    refused(conn, "no transit that fits plan huge", begin, "vps-8", "2026", "r", "ops")
    host.begin(conn)
    refused(conn, "being migrated already", begin, "vps-1", "2026", "r", "ops")
    refused(conn, "Run run-1 migrates vps-1", begin, "vps-8", "2026", "run-1", "ops")


def test_begin_move(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=2, transits=2)
    begin = registry.begin_move
    refused(conn, "no account nobody", begin, "nobody", "transit-1", "r", "c")
    refused(conn, "is not being migrated", begin, "a1-1", "transit-1", "r", "c")
    id = host.begin(conn)
    registry.request_transit(conn, id)
    refused(conn, "not handed over yet", begin, "a1-1", "transit-1", "r", "c")
    registry.assign_transit(conn, id)
    refused(conn, "not handed over yet", begin, "a1-1", "transit-1", "r", "c")
    registry.enrol_server(conn, "transit-1", "2026", host.KEY, {})
    registry.hand_over(conn, id)
    refused(conn, "no server nowhere", begin, "a1-1", "nowhere", "r", "c")
    refused(conn, "to transit-1 only", begin, "a1-1", "transit-2", "r", "c")
    refused(conn, "to transit-1 only", begin, "a1-1", "vps-2", "r", "c")
    refused(conn, "lives on vps-1 already", begin, "a1-1", "vps-1", "r", "c")
    move = begin(conn, "a1-1", "transit-1", "r", "c")
    assert begin(conn, "a1-1", "transit-1", "r", "c") == move
    refused(conn, "Run r moves a1-1", begin, "a1-2", "transit-1", "r", "c")
    refused(conn, "a1-1 is being moved already", begin, "a1-1", "transit-1", "r2", "c")
    refused(conn, "a1-1 of vps-1 is being moved", begin, "a1-2", "transit-1", "r2", "c")
    for state in ("copying", "switching", "committed", "done"):
        registry.advance_move(conn, move.id, state)
    refused(conn, "lives on transit-1 already", begin, "a1-1", "transit-1", "r2", "c")
    refused(conn, "not reinstalled yet", begin, "a1-1", "vps-1", "r2", "c")


def test_steps_out_of_order(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    id = host.begin(conn)
    refused(conn, "cannot go from checking to rerouted", registry.advance, id, "rerouted")
    refused(conn, "cannot go from checking to nonsense", registry.advance, id, "nonsense")
    refused(conn, "no migration 99", registry.advance, 99, "rerouted")
    refused(conn, "request one first", registry.assign_transit, id)
    refused(conn, "no installed transit", registry.hand_over, id)
    refused(conn, "installed once", registry.may_install_transit, id)
    refused(conn, "has no transit", registry.return_transit, id)
    registry.request_transit(conn, id)
    assert registry.assign_transit(conn, id) == "transit-1"
    refused(conn, "not enrolled with infrastructure 2026", registry.hand_over, id)
    registry.enrol_server(conn, "transit-1", "2026", host.KEY, {})
    registry.hand_over(conn, id)
    refused(conn, "Accounts live on vps-1 .a1-1, a1-2.", registry.last_account_left, id)
    refused(conn, "accounts live on it .a1-1, a1-2.", registry.may_reinstall, id)
    refused(conn, "only to the transit", registry.ip_routed, "198.51.100.11", "transit-1")
    host.moved(conn, "a1-1", "transit-1")
    refused(conn, "accounts live on it", registry.may_wipe, id)
    refused(conn, "accounts live on it", registry.transit_wiped, id)
    host.moved(conn, "a1-2", "transit-1")
    refused(conn, "is not reinstalled while its migration is handed_over", registry.may_reinstall, id)
    registry.last_account_left(conn, id)
    refused(conn, "are not routed to transit-1 yet", registry.advance, id, "rerouted")
    for ip in registry.ips_of(conn, "vps-1"):
        registry.ip_routed(conn, ip.address, "transit-1")
    registry.advance(conn, id, "rerouted")
    registry.advance(conn, id, "original_empty")
    registry.may_reinstall(conn, id)
    registry.advance(conn, id, "reinstalling")
    refused(conn, "not enrolled with infrastructure 2026", registry.advance, id, "reinstalled")
    refused(conn, "is reinstalling: no account", registry.add_account, "late", "vps-1", [])
    refused(conn, "is being reinstalled: route", registry.ip_routed, "198.51.100.11", "vps-1")
    registry.enrol_server(conn, "vps-1", "2026", host.KEY, {})
    registry.advance(conn, id, "reinstalled")
    refused(conn, "only once", registry.may_reinstall, id)
    refused(conn, "Accounts live on transit transit-1", registry.advance, id, "accounts_home")
    refused(conn, "comes home when every account", registry.ip_routed, "198.51.100.11", "vps-1")
    host.moved(conn, "a1-1", "vps-1")
    host.moved(conn, "a1-2", "vps-1")
    registry.advance(conn, id, "accounts_home")
    refused(conn, "while its migration is accounts_home", registry.may_wipe, id)
    refused(conn, "are not home yet", registry.advance, id, "home")
    for ip in registry.ips_of(conn, "vps-1"):
        registry.ip_routed(conn, ip.address, "vps-1")
    registry.name_points(conn, "a1-1.example", "A", "198.51.100.101")
    refused(conn, "Names of vps-1 are not home yet .a1-1.example.", registry.advance, id, "home")
    registry.name_points(conn, "a1-1.example", "A", "198.51.100.11")
    registry.advance(conn, id, "home")
    refused(conn, "not wiped", registry.return_transit, id)
    refused(conn, "not back in the pool", registry.advance, id, "done")


def test_move_after_commit_goes_forward_only_and_before_it_may_return(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    id = host.handed_over(conn)
    move = registry.begin_move(conn, "a1-1", "transit-1", "r", "c")
    registry.advance_move(conn, move.id, "copying")
    refused(conn, "cannot go from copying to committed", registry.advance_move, move.id, "committed")
    registry.advance_move(conn, move.id, "returned")
    refused(conn, "cannot go from returned to committed", registry.advance_move, move.id, "committed")
    again = registry.begin_move(conn, "a1-1", "transit-1", "r", "c")
    assert (again.id, again.state, again.epoch) == (move.id, "preparing", move.epoch + 1)
    for state in ("copying", "switching", "committed"):
        registry.advance_move(conn, move.id, state)
    assert registry.account(conn, "a1-1").server == "transit-1"
    refused(conn, "cannot go from committed to returned", registry.advance_move, move.id, "returned")
    refused(conn, "a1-1 was performed at", registry.cancel_migration, id, "changed my mind", "customer")
    refused(conn, "a1-1 was performed at", registry.advance, id, "failed")


def test_bad_values(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    add_server = registry.add_server
    addresses = ("10.20.0.99", "10.30.0.99", "fd30::99")
    refused(conn, "lower-case", add_server, "Vps\n9", "vps", "small", "2022", "c", *addresses)
    refused(conn, "kind is", add_server, "x", "cloud", "small", "2022", None, *addresses)
    refused(conn, "one customer", add_server, "x", "vps", "small", "2022", None, *addresses)
    refused(conn, "no such plan", add_server, "x", "vps", "none", "2022", "c", *addresses)
    refused(conn, "begins as free or serving", add_server, "x", "vps", "small", "2022", "c", *addresses, "up")
    refused(conn, "fits the server's kind", add_server, "x", "vps", "small", "2022", "c", *addresses, "free")
    same = ("10.20.0.11", "10.30.0.99", "fd30::99")
    refused(conn, "Another server has", add_server, "x", "vps", "small", "2022", "c", *same)
    wrong = ("10.20.0.1/24", "10.30.0.99", "fd30::99")
    refused(conn, "without a prefix", add_server, "x", "vps", "small", "2022", "c", *wrong)
    refused(conn, "not what it should be", registry.add_ip, "300.1.1.1", "vps-1")
    refused(conn, "without a prefix", registry.add_ip, "198.51.100.0/24", "vps-1")
    refused(conn, "belongs to vps-1", registry.add_ip, "198.51.100.11", "transit-1")
    refused(conn, "no IP 192.0.2.9", registry.ip_routed, "192.0.2.9", "vps-1")
    for name in ("Alice", "a b", "a\n", "a'; DROP TABLE accounts; --", "", "a" * 33):
        refused(conn, "account's login", registry.add_account, name, "vps-1", [])
    for domain in ("a b.example", "a/b", "a\nb", "'"):
        refused(conn, "not a host name", registry.add_account, "x", "vps-1", [domain])
    refused(conn, "lives on vps-1", registry.add_account, "a1-1", "transit-1", [])
    refused(conn, "no account can live", registry.add_account, "x", "transit-1", [])
    refused(conn, "host name", registry.add_name, "bad name", "A", "a1-1", "192.0.2.1")
    refused(conn, "family", registry.add_name, "x.example", "A", "a1-1", "2001:db8::1")
    refused(conn, "family", registry.add_name, "x.example", "MX", "a1-1", "192.0.2.1")
    refused(conn, "belongs to account a1-1", registry.add_name, "a1-1.example", "A", "a1-2", "192.0.2.1")
    refused(conn, "whole key", registry.enrol_server, "transit-1", "2026", "ssh-ed25519", {})
    refused(conn, "at least one CPU", registry.add_plan, "p", Decimal(1), "EUR", 0, 1, 1)
    refused(conn, "0 or more", registry.add_plan, "p", Decimal(-1), "EUR", 1, 1, 1)
    refused(conn, "0 or more", registry.add_plan, "p", Decimal("NaN"), "EUR", 1, 1, 1)
    refused(conn, "capital letters", registry.add_plan, "p", Decimal(1), "euro", 1, 1, 1)
    refused(conn, "another size", registry.add_plan, "small", Decimal(1), "EUR", 1, 1, 1)
    refused(conn, "event's kind", registry.event, "Not a kind")


def test_changed_host_key_is_refused_while_accounts_live_there(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    refused(conn, "another host key", registry.enrol_server, "vps-1", "2022", host.KEY + "other", {})


def test_every_constraint_has_a_sentence(conn: psycopg.Connection) -> None:
    rows = conn.execute(
        """
        SELECT conname FROM pg_constraint
        WHERE contype IN ('c', 'u', 'f') AND conrelid::regclass::text = ANY(%(tables)s)
        UNION SELECT indexrelid::regclass::text FROM pg_index
        WHERE indisunique AND indpred IS NOT NULL AND indrelid::regclass::text = ANY(%(tables)s)
        """,
        {"tables": TABLES.split()},
    ).fetchall()
    assert {name for (name,) in rows} == set(SENTENCES)
    assert all(re.fullmatch(r"[A-Z].+: .+\.", sentence) for sentence in SENTENCES.values())
