"""Two customers' accounts of one login do not meet: neither by the registry, nor on a server."""

from typing import Any

import psycopg
import pytest

from include import registry
from include.registry import RegistryRefused
from tests.registry import host

STATED = {"uid": 2001, "mail_domains": []}


def says(conn: psycopg.Connection, server: str, login: str, epoch: int = 1, **more: Any) -> None:
    """What a server says of one account that it serves."""
    entry = {"account": login, "state": "serving", "epoch": epoch, "sites": [], "stated": STATED, **more}
    registry.sync_accounts(conn, server, [entry])


def logins(conn: psycopg.Connection, server: str) -> dict[str, str]:
    return {account.name: account.login for account in registry.accounts_of(conn, server)}


@pytest.fixture
def two(conn: psycopg.Connection) -> psycopg.Connection:
    """Two servers of two customers, each with an account www."""
    host.add_host(conn, originals=2, transits=1, accounts=0)
    says(conn, "vps-1", "www")
    says(conn, "vps-2", "www")
    return conn


@pytest.fixture
def shared(conn: psycopg.Connection) -> psycopg.Connection:
    """A shared server with an account www, and two with room that an entry leads to."""
    host.add_host(conn, accounts=0)
    for name, n, version in (("web-1", 31, "2022"), ("web-2", 32, "2026"), ("web-3", 33, "2026")):
        host.add_server(conn, name, "shared", n)
        registry.enrol_server(conn, name, version, host.KEY + name.replace("-", ""), {})
        registry.record_description(conn, name, host.DISK)
    host.add_server(conn, "test-1", "test", 41)
    registry.enrol_server(conn, "test-1", "2026", host.KEY + "test1", {})
    registry.record_description(conn, "test-1", host.DISK)
    says(conn, "web-1", "www", postgresql={"databases": [{"name": "shop", "bytes": 1}], "roles": ["shop"]})
    for account in registry.accounts_of(conn, "web-1"):
        registry.set_customer(conn, account.name, "one")
    return conn


def over(conn: psycopg.Connection, to: str | None = None) -> registry.Move:
    return registry.begin_over(conn, "www", "2026", f"over-{to}", "ops", to, lift_gate_because=host.UNTESTED)


def test_an_alias_that_stands_for_many_names_is_none_of_the_accounts_domains(two: psycopg.Connection) -> None:
    says(two, "vps-1", "www", sites=[{"domain": "shop.example", "aliases": ["*.shop.example", "www.shop.example"]}])
    assert registry.account(two, "www").domains == ["shop.example", "www.shop.example"]


def test_each_is_known_by_a_name_of_its_own_and_keeps_its_login(two: psycopg.Connection) -> None:
    assert logins(two, "vps-1") == {"www": "www"}
    assert logins(two, "vps-2") == {"www.vps-2": "www"}
    says(two, "vps-2", "www")
    assert logins(two, "vps-2") == {"www.vps-2": "www"}


def test_a_move_says_what_its_servers_call_the_account(two: psycopg.Connection) -> None:
    host.handed_over(two, 2)
    move = host.moved(two, "www.vps-2", "transit-1")
    assert (move.account, move.login) == ("www.vps-2", "www")
    says(two, "transit-1", "www", epoch=move.epoch)
    assert registry.account(two, "www.vps-2").server == "transit-1"
    assert registry.account(two, "www").server == "vps-1"


def test_an_old_disk_that_serves_what_has_left_is_no_other_account(two: psycopg.Connection) -> None:
    host.handed_over(two, 2)
    host.moved(two, "www.vps-2", "transit-1")
    says(two, "vps-2", "www")
    assert registry.account(two, "www.vps-2").server == "transit-1"
    assert registry.list_events(two, account="www.vps-2")[-1].kind == "account.contradiction"


def test_one_that_has_moved_where_the_registry_knows_nothing_of_is_no_other_account(shared: psycopg.Connection) -> None:
    """The registry may be an older copy than its hosts."""
    says(shared, "web-2", "www", epoch=7)
    assert logins(shared, "web-2") == {}
    assert registry.list_events(shared, account="www")[-1].kind == "account.contradiction"


def test_a_target_where_the_login_is_taken_is_refused_by_name_and_passed_over_by_choice(
    shared: psycopg.Connection,
) -> None:
    says(shared, "web-2", "www", stated={"uid": 3000, "mail_domains": []})
    with pytest.raises(RegistryRefused, match=r"its login is www, which on web-2 is www\.web-2's\. Change"):
        over(shared, "web-2")
    assert over(shared).to_server == "web-3"


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"account": "other", "stated": STATED}, "its uid is 2001, which on web-2 is other's"),
        (
            {"account": "other", "postgresql": {"databases": [{"name": "shop", "bytes": 9}], "roles": []}},
            "it has the postgresql databases shop, which on web-2 is other's",
        ),
        (
            {"account": "other", "postgresql": {"databases": [], "roles": ["shop"]}},
            "it has the postgresql roles shop, which on web-2 is other's",
        ),
    ],
)
def test_so_is_one_where_something_else_of_it_is_taken(
    shared: psycopg.Connection, entry: dict[str, Any], sentence: str
) -> None:
    says(shared, "web-2", entry.pop("account"), **({"stated": {"uid": 3000, "mail_domains": []}} | entry))
    with pytest.raises(RegistryRefused, match=sentence):
        over(shared, "web-2")


@pytest.mark.parametrize("unclaimed", [{"users": ["www"]}, {"postgresql": ["shop"]}])
def test_and_one_where_nobodys_account_has_it(shared: psycopg.Connection, unclaimed: dict[str, list[str]]) -> None:
    registry.record_description(shared, "web-2", {**host.DISK, "unclaimed": unclaimed})
    with pytest.raises(RegistryRefused, match="which is on web-2 already and no account's"):
        over(shared, "web-2")


def test_where_nothing_of_it_is_taken_there_is_no_word_of_it(shared: psycopg.Connection) -> None:
    says(shared, "web-2", "other", stated={"uid": 3000, "mail_domains": []})
    assert over(shared, "web-2").to_server == "web-2"


def test_two_copies_that_would_meet_are_not_on_one_test_server(shared: psycopg.Connection) -> None:
    says(shared, "vps-1", "www", stated={"uid": 3000, "mail_domains": []})
    assert registry.begin_test(shared, "www", "2026", "t1", "ops").login == "www"
    with pytest.raises(RegistryRefused, match=r"its login is www, which on test-1 is www's\. Let that copy expire"):
        registry.begin_test(shared, "www.vps-1", "2026", "t2", "ops")
