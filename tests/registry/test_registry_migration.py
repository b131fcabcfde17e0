"""A migration's way through the registry, once, twice and late."""

import inspect
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from include import registry
from include.registry import RegistryRefused
from include.registry.__main__ import main
from tests.registry import host
from tests.registry.callers import Connect
from tests.registry.content import content


def test_whole_way(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    id = host.done(conn)
    assert registry.migration(conn, id).state == "done"
    vps, transit = registry.server(conn, "vps-1"), registry.server(conn, "transit-1")
    assert (vps.state, vps.infrastructure) == ("serving", "2026")
    assert (transit.state, transit.host_key) == ("free", None)
    assert {account.server for account in registry.accounts_of(conn, "vps-1")} == {"vps-1"}
    assert [(move.account, move.direction) for move in registry.moves_of(conn, id)] == [
        ("a1-1", "out"),
        ("a1-2", "out"),
        ("a1-1", "home"),
        ("a1-2", "home"),
    ]
    assert all(move.figures == host.FIGURES for move in registry.moves_of(conn, id))
    kinds = [event.kind for event in registry.list_events(conn, migration_id=id)]
    steps = [kind.removeprefix("migration.") for kind in kinds if kind.startswith("migration.")]
    assert steps == [
        "began",
        *"waiting_for_transit installing_transit handed_over accounts_moved rerouted original_empty".split(),
        *"reinstalling reinstalled accounts_home home done".split(),
    ]
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_every_call_made_twice_ends_as_if_made_once(
    conn: psycopg.Connection,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    postgresql: str,
) -> None:
    host.add_host(conn)
    host.done(conn)
    once = content(conn)
    with psycopg.connect(f"{postgresql} dbname=postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE twice TEMPLATE template")
    checks = ("may_reinstall", "may_install_transit", "may_wipe")

    def twice(function: Callable[..., object]) -> Callable[..., object]:
        def called(*args: object, **kwargs: object) -> object:
            first = function(*args, **kwargs)
            assert function(*args, **kwargs) == first or function.__name__ in checks
            return first

        return called

    public = [name for name in registry.__all__ if inspect.isfunction(getattr(registry, name))]
    for name in set(public) - {"event"}:
        monkeypatch.setattr(registry, name, twice(getattr(registry, name)))
    with psycopg.connect(f"{postgresql} dbname=twice") as other:
        host.add_host(other)
        host.done(other)
        assert content(other) == once


def test_second_migration_of_the_same_server(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    host.done(conn)
    registry.sync_catalogue(conn, [registry.Entry("2030", "Later", "infrastructure", "2026", "2030")])
    second = registry.begin_migration(conn, "vps-1", "2030", "another-run", "ops", host.UNTESTED)
    assert registry.migration_of(conn, "vps-1") == second
    registry.request_transit(conn, second.id)
    assert registry.assign_transit(conn, second.id) == "transit-1"


def test_account_created_meanwhile_is_included(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    id = host.handed_over(conn)
    host.moved(conn, "a1-1", "transit-1")
    host.moved(conn, "a1-2", "transit-1")
    sites = [{"domain": "New.example", "aliases": ["www.new.example"], "root": "public_html"}]
    living = registry.sync_accounts(
        conn,
        "vps-1",
        [
            {"account": "new", "state": "serving", "epoch": 0, "sites": sites, "home_bytes": 5},
            {"account": "a1-1", "state": "moved", "epoch": 1, "sites": []},
        ],
    )
    assert [(account.name, account.domains) for account in living] == [("new", ["new.example", "www.new.example"])]
    assert registry.accounts_not_on(conn, id, "transit-1") == ["new"]
    with pytest.raises(RegistryRefused, match="Accounts live on vps-1 .new."):
        registry.last_account_left(conn, id)
    registry.sync_accounts(conn, "transit-1", [{"account": "there", "state": "serving", "epoch": 0}])
    assert registry.account(conn, "there").home_server == "vps-1"


def test_contradiction_is_logged_and_changes_nothing(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    host.handed_over(conn)
    host.moved(conn, "a1-1", "transit-1")
    registry.sync_accounts(conn, "vps-1", [{"account": "a1-1", "state": "serving", "epoch": 1}])
    assert registry.account(conn, "a1-1").server == "transit-1"
    assert registry.list_events(conn, account="a1-1")[-1].kind == "account.contradiction"


def says(conn: psycopg.Connection, uid: int, *domains: str, account: str = "a1-1") -> None:
    stated = {"uid": uid, "mail_domains": sorted(domains)}
    registry.sync_accounts(conn, "vps-1", [{"account": account, "state": "serving", "epoch": 0, "stated": stated}])


def kinds(conn: psycopg.Connection, account: str = "a1-1") -> list[str]:
    return [event.kind for event in registry.list_events(conn, account=account) if event.kind.startswith("account.")]


def test_what_a_server_says_otherwise_of_an_account_is_told_once_and_not_believed(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    says(conn, 2001, "a.example")
    first = {"uid": 2001, "mail_domains": ["a.example"]}
    assert registry.account(conn, "a1-1").stated == first and "account.differs" not in kinds(conn)
    for _ in range(3):
        says(conn, 2001, "a.example", "gmail.com")
    assert registry.account(conn, "a1-1").stated == first and kinds(conn).count("account.differs") == 1
    says(conn, 2002, "a.example")
    assert registry.account(conn, "a1-1").stated == first and kinds(conn).count("account.differs") == 2
    registry.confirm_account(conn, "a1-1", "ops")
    assert registry.certain(registry.account(conn, "a1-1").stated)["uid"] == 2002
    assert kinds(conn)[-1] == "account.confirmed"


def test_mail_of_another_account_is_nobodys_at_first_sight(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    says(conn, 2001, "a.example")
    says(conn, 2005, "a.example", "new.example", account="new")
    assert registry.account(conn, "new").stated == {"uid": 2005, "mail_domains": ["new.example"]}
    assert kinds(conn, "new")[-1] == "account.differs"


def test_who_confirms_is_told_that_nothing_was_said(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    with pytest.raises(RegistryRefused, match="has said nothing of a1-1"):
        registry.confirm_account(conn, "a1-1", "ops")


def test_host_ahead_of_the_registry_is_no_contradiction(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    host.handed_over(conn)
    registry.begin_move(conn, "a1-1", "transit-1", "r", "customer")
    registry.sync_accounts(conn, "transit-1", [{"account": "a1-1", "state": "serving", "epoch": 1}])
    assert registry.list_events(conn, account="a1-1")[-1].kind == "move.began"


def test_removed_account_is_waited_for_no_more_and_its_epoch_counts_on(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    id = host.handed_over(conn)
    host.moved(conn, "a1-1", "transit-1")
    registry.remove_account(conn, "a1-2", "the customer deleted it", "ops")
    registry.remove_account(conn, "a1-2", "the customer deleted it", "ops")
    assert registry.accounts_not_on(conn, id, "transit-1") == []
    with pytest.raises(RegistryRefused, match="was removed"):
        registry.begin_move(conn, "a1-2", "transit-1", "r", "customer")
    again = registry.add_account(conn, "a1-2", "vps-1", [])
    assert (again.removed_at, again.epoch) == (None, 0)


def test_lease_ends_when_the_last_account_left_however_late_that_is_recorded(conn: psycopg.Connection) -> None:
    host.add_host(conn, accounts=1)
    id = host.handed_over(conn)
    move = host.moved(conn, "a1-1", "transit-1")
    conn.execute("SELECT pg_sleep(0.05)")
    conn.commit()
    assert registry.last_account_left(conn, id).last_account_left_at == move.committed_at


def test_lease_ends_when_the_customer_removed_the_last_account_instead_of_moving_it(conn: psycopg.Connection) -> None:
    """It lived on the original until then, and no longer: neither from the last move on, nor until that was noticed."""
    host.add_host(conn, accounts=2)
    id = host.handed_over(conn)
    move = host.moved(conn, "a1-1", "transit-1")
    conn.commit()
    conn.execute("SELECT pg_sleep(0.05)")
    conn.commit()
    registry.remove_account(conn, "a1-2", "the customer deleted it", "ops")
    conn.commit()
    conn.execute("SELECT pg_sleep(0.05)")
    conn.commit()
    left = registry.last_account_left(conn, id).last_account_left_at
    removed, moved = registry.account(conn, "a1-2").removed_at, move.committed_at
    assert left == removed and registry.certain(removed) > registry.certain(moved)


def test_hand_over_recorded_late(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    id = host.begin(conn)
    registry.request_transit(conn, id)
    registry.enrol_server(conn, registry.certain(registry.assign_transit(conn, id)), "2026", host.KEY, {})
    at = datetime.now(UTC) - timedelta(days=3)
    lease = registry.hand_over(conn, id, at)
    assert (lease.handed_over_at, lease.expected_end_at) == (at, at + timedelta(days=7))


def test_callers_transaction_is_the_callers(conn: psycopg.Connection, connect: Connect) -> None:
    with conn.transaction():
        host.add_host(conn)
        assert registry.list_servers(connect()) == []
    assert len(registry.list_servers(connect(), kind="vps")) == 1


def test_refusal_in_a_callers_transaction_undoes_only_itself(conn: psycopg.Connection, connect: Connect) -> None:
    with conn.transaction():
        host.add_host(conn)
        with pytest.raises(RegistryRefused):
            registry.add_account(conn, "Not A Name", "vps-1", [])
    assert len(registry.accounts_of(connect(), "vps-1")) == 2


def test_price_history(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    tomorrow = date.today() + timedelta(days=2)
    registry.set_price(conn, "small", Decimal("45"), "EUR", tomorrow, by="ops")
    registry.set_price(conn, "small", Decimal("44"), "EUR", tomorrow, by="ops")
    assert registry.plan(conn, "small").monthly_price == Decimal("39.99")
    with pytest.raises(RegistryRefused, match="has been in force"):
        registry.set_price(conn, "small", Decimal("1"), "EUR", date(1970, 1, 1))
    with pytest.raises(TypeError):
        registry.set_price(conn, "small", 1.5, "EUR", tomorrow)  # type: ignore[arg-type]


def test_upgrade_can_be_repeated(dsn: str, conn: psycopg.Connection) -> None:
    host.add_host(conn)
    before = content(conn)
    assert main(["upgrade", dsn]) == 0
    assert content(conn) == before


@pytest.mark.parametrize(("told", "kept"), [(-3600, -3600), (3600, 0), (-7 * 86400, -86400), (None, 0)])
def test_a_commit_is_as_old_as_its_source_says_within_reason(
    conn: psycopg.Connection, told: int | None, kept: int
) -> None:
    """What is billed goes by it, and the registry may learn of a commit a day later."""
    host.add_host(conn)
    host.handed_over(conn)
    move = registry.begin_move(conn, "a1-1", "transit-1", "run", "customer")
    conn.execute("UPDATE moves SET began_at = now() - interval '1 day'")
    for state in ("copying", "switching"):
        registry.advance_move(conn, move.id, state)
    now = datetime.now(UTC)
    committed = registry.advance_move(
        conn, move.id, "committed", None, None if told is None else now + timedelta(seconds=told)
    )
    assert abs(registry.certain(committed.committed_at) - now - timedelta(seconds=kept)) < timedelta(seconds=30)


def test_no_key_comes_twice_and_none_changes(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    host.handed_over(conn)
    move = registry.begin_move(conn, "a1-1", "transit-1", "run", "customer")
    assert re.fullmatch(r"m\d+-[0-9a-f]{12}", move.key)
    conn.commit()
    with pytest.raises(psycopg.DatabaseError, match="keeps its account"):
        conn.execute("UPDATE moves SET key = 'm1'")
