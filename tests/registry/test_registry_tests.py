"""Test copies, the gate, and moves over: what begins, what is refused, and what a commit changes."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from include import registry
from include.registry import RegistryRefused
from include.registry.database import BUSY, REFUSED
from tests.registry import host
from tests.registry.callers import Connect, at_once, each_at_once

NOW = datetime.now(UTC)


@pytest.fixture
def shared(conn: psycopg.Connection) -> psycopg.Connection:
    """Shared servers web-1 (2022, accounts s1 to s3) and web-2, web-3 (2026), a test server and a database server."""
    host.add_host(conn)
    for name, kind, n, version in (
        ("web-1", "shared", 31, "2022"),
        ("web-2", "shared", 32, "2026"),
        ("web-3", "shared", 33, "2026"),
        ("test-1", "test", 41, "2026"),
        ("db-1", "database", 51, "2026"),
    ):
        host.add_server(conn, name, kind, n)
        versions = {"postgresql": "15.14"} if version == "2022" else {"postgresql": "17.6", "mariadb": "11.8.3"}
        registry.enrol_server(conn, name, version, host.KEY + name.replace("-", ""), versions)
        registry.record_description(conn, name, host.DISK)
        registry.add_ip(conn, f"198.51.100.{n}", name)
    registry.sync_catalogue(
        conn, [registry.Entry("postgresql-17", "PostgreSQL 17", "postgresql", "15", "17", True, None, NOW.date())]
    )
    for n in (1, 2, 3):
        registry.add_account(conn, f"s{n}", "web-1", [f"s{n}.example"], f"customer-s{n}")
        registry.add_name(conn, f"s{n}.example", "A", f"s{n}", "198.51.100.31")
    return conn


def ready_copy(
    conn: psycopg.Connection, account: str, entry: str = "2026", blockers: int = 0, run: str | None = None
) -> registry.Test:
    """Test an account; its copy is ready."""
    test = registry.begin_test(conn, account, entry, run or f"test-{account}-{entry}-{blockers}", "customer")
    registry.advance_test(conn, test.id, "copying")
    registry.record_test_report(conn, test.id, {"verdict": "ready"}, blockers, 0)
    return registry.advance_test(conn, test.id, "ready", names={}, expires_at=NOW + timedelta(days=7))


def gone(conn: psycopg.Connection, account: str) -> None:
    """Take the account's test copy away."""
    test = registry.certain(registry.replace_test(conn, account, "another run"))
    registry.advance_test(conn, test.id, "removed")


def committed(conn: psycopg.Connection, move: registry.Move) -> registry.Move:
    for state in ("copying", "switching", "committed"):
        move = registry.advance_move(conn, move.id, state)
    return move


def test_test_from_beginning_to_end(shared: psycopg.Connection) -> None:
    test = registry.begin_test(shared, "s1", "2026", "r", "customer")
    assert (test.server, test.state, test.epoch) == ("test-1", "preparing", 1)
    assert registry.begin_test(shared, "s1", "2026", "r", "customer") == test
    registry.advance_test(shared, test.id, "copying")
    with pytest.raises(RegistryRefused, match="expires at a time"):
        registry.advance_test(shared, test.id, "ready")
    assert registry.latest_test_of(shared, "s1", "2026") is None
    registry.record_test_report(shared, test.id, {"verdict": "blocked"}, 2, 1)
    names = {"s1.example": "s1.test.example"}
    ready = registry.advance_test(shared, test.id, "ready", names=names, expires_at=NOW)
    assert (ready.names, ready.blockers, ready.warnings) == (names, 2, 1)
    assert [one.id for one in registry.expired_tests(shared, NOW - timedelta(seconds=1))] == []
    assert [one.id for one in registry.expired_tests(shared, NOW)] == [test.id]
    registry.advance_test(shared, test.id, "removing", failure="expired")
    registry.advance_test(shared, test.id, "removed")
    assert registry.live_test_of(shared, "s1") is None
    assert registry.certain(registry.latest_test_of(shared, "s1", "2026")).blockers == 2
    assert registry.account(shared, "s1").server == "web-1", "a test is no move"
    again = registry.begin_test(shared, "s1", "2026", "r", "customer")
    assert (again.id, again.state, again.epoch, again.failure) == (test.id, "preparing", 2, None)


def test_ready_copy_is_replaced_and_one_at_work_is_not(shared: psycopg.Connection) -> None:
    first = ready_copy(shared, "s1")
    with pytest.raises(RegistryRefused, match="another test copy"):
        registry.begin_test(shared, "s1", "2026", "r2", "customer")
    assert registry.certain(registry.replace_test(shared, "s1", "r2")).id == first.id
    assert registry.certain(registry.replace_test(shared, "s1", "r2")).state == "removing"
    registry.advance_test(shared, first.id, "removed")
    assert registry.replace_test(shared, "s1", "r2") is None
    second = registry.begin_test(shared, "s1", "2026", "r2", "customer")
    assert second.id != first.id and second.epoch > first.epoch
    assert registry.replace_test(shared, "s1", "r2") is None
    with pytest.raises(RegistryRefused, match="being tested already .run r2."):
        registry.replace_test(shared, "s1", "r3")
    assert [one.id for one in registry.tests_of(shared, "s1")] == [second.id, first.id]


def test_whole_account_moves_over(shared: psycopg.Connection) -> None:
    ready_copy(shared, "s1")
    move = registry.begin_over(shared, "s1", "2026", "r", "customer")
    assert (move.from_server, move.direction, move.migration, move.engine) == ("web-1", "over", None, None)
    assert registry.begin_over(shared, "s1", "2026", "r", "customer") == move
    committed(shared, move)
    found = registry.account(shared, "s1")
    assert (found.server, found.home_server) == (move.to_server, move.to_server)
    (name,) = registry.names_of_account(shared, "s1")
    assert name.address == registry.ips_of(shared, move.to_server)[0].address
    assert name.points_at == "198.51.100.31", "the name server is told later"
    with pytest.raises(RegistryRefused, match="being moved already|runs infrastructure 2026"):
        registry.begin_over(shared, "s1", "2026", "r2", "customer")


def test_engine_moves_alone(shared: psycopg.Connection) -> None:
    ready_copy(shared, "s1", "postgresql-17")
    move = committed(shared, registry.begin_over(shared, "s1", "postgresql-17", "r", "customer"))
    assert (move.engine, move.to_server) == ("postgresql", "db-1")
    assert registry.account(shared, "s1").server == "web-1"
    assert registry.engines_of(shared, "s1") == {"postgresql": "db-1"}
    registry.advance_move(shared, move.id, "done")
    with pytest.raises(RegistryRefused, match="accounts live on it .s1's postgresql databases."):
        registry.enrol_server(shared, "db-1", "2026", host.KEY + "other", {})
    for entry in ("postgresql-17", "2026"):
        with pytest.raises(RegistryRefused, match="postgresql databases of account s1 live on db-1"):
            registry.begin_over(shared, "s1", entry, "r2", "customer", None, "no gate")


def test_gate(shared: psycopg.Connection) -> None:
    with pytest.raises(RegistryRefused, match="s1 has not been tested for 2026"):
        registry.begin_over(shared, "s1", "2026", "r", "customer")
    ready_copy(shared, "s1", blockers=1)
    with pytest.raises(RegistryRefused, match="found a blocker"):
        registry.begin_over(shared, "s1", "2026", "r", "customer")
    with pytest.raises(RegistryRefused, match="give the reason"):
        registry.begin_over(shared, "s1", "2026", "r", "ops", None, " ")
    gone(shared, "s1")
    ready_copy(shared, "s1", run="fixed")
    assert registry.begin_over(shared, "s1", "2026", "r", "customer").state == "preparing"
    registry.begin_over(shared, "s2", "2026", "r2", "ops", "web-2", "the customer asked by telephone")
    (event,) = [event for event in registry.list_events(shared) if event.kind == "gate.lifted"]
    assert (event.account, event.by, event.detail["reason"]) == ("s2", "ops", "the customer asked by telephone")


def test_gate_of_a_server(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    host.add_server(conn, "test-1", "test", 41)
    registry.enrol_server(conn, "test-1", "2026", host.KEY, {})
    registry.record_description(conn, "test-1", host.DISK)
    assert len(registry.untested(conn, "vps-1", "2026")) == 2
    with pytest.raises(RegistryRefused, match="a1-1 has not been tested.*a1-2 has not been tested"):
        registry.begin_migration(conn, "vps-1", "2026", "r", "ops")
    ready_copy(conn, "a1-1")
    ready_copy(conn, "a1-2", blockers=3)
    assert registry.untested(conn, "vps-1", "2026") == [
        "The test of account a1-2 for 2026 found 3 blockers: correct it and test again."
    ]
    gone(conn, "a1-2")
    ready_copy(conn, "a1-2", run="fixed")
    registry.begin_migration(conn, "vps-1", "2026", "r", "ops")
    assert "gate.lifted" not in [event.kind for event in registry.list_events(conn)]


def test_most_moves_a_server(shared: psycopg.Connection) -> None:
    for n in (1, 2, 3):
        ready_copy(shared, f"s{n}")
    first = registry.begin_over(shared, "s1", "2026", "r1", "customer")
    second = registry.begin_over(shared, "s2", "2026", "r2", "customer")
    assert {first.to_server, second.to_server} == {"web-2", "web-3"}, "load is spread"
    with pytest.raises(registry.Busy, match="web-1 takes part in 2 moves"):
        registry.begin_over(shared, "s3", "2026", "r3", "customer")
    registry.advance_move(shared, first.id, "returned")
    registry.begin_over(shared, "s3", "2026", "r3", "customer")
    assert shared.execute("SELECT most_moves_a_server()").fetchone() == (registry.MAX_MOVES_PER_SERVER,)


def refused(conn: psycopg.Connection, sql: str, match: str, state: str = REFUSED) -> None:
    with pytest.raises(psycopg.Error, match=match) as caught, conn.transaction():
        conn.execute(sql)
    assert caught.value.sqlstate == state, caught.value


OVER = (
    "INSERT INTO moves (account, entry, engine, original, from_server, to_server, direction, epoch, run_id,"
    " requested_by, state, lift_gate_because)"
    " SELECT name, '{entry}', {engine}, server, server, '{to}', 'over', epoch, 'run-' || name, 'sql', 'preparing',"
    " {lifted} FROM accounts WHERE name = '{account}'"
)
FACTS = {"entry": "2026", "engine": "NULL", "to": "web-2", "lifted": "'sql'", "account": "s1"}


@pytest.mark.parametrize(
    ("facts", "match"),
    [
        ({"lifted": "NULL"}, "has not been tested"),
        ({"to": "web-1"}, "lives on web-1 already"),
        ({"to": "test-1"}, "test-1 is a test server"),
        ({"to": "db-1"}, "db-1 is a database server"),
        ({"to": "transit-1"}, "transit-1 is a transit server"),
        ({"engine": "'mariadb'"}, "a move of mariadb was refused"),
        ({"entry": "postgresql-17"}, "a move of the whole account was refused"),
        ({"entry": "postgresql-17", "engine": "'postgresql'"}, "goes to a database server"),
        ({"account": "a1-1"}, "lives on vps-1, a vps server"),
        ({"account": "s2"}, "s2 is being copied for a test"),
        ({"account": "s3"}, "s3 was removed"),
    ],
)
def test_database_refuses_moves_over_by_itself(shared: psycopg.Connection, facts: dict[str, str], match: str) -> None:
    registry.begin_test(shared, "s2", "2026", "r", "customer")
    registry.remove_account(shared, "s3", "gone", "ops")
    refused(shared, OVER.format_map(FACTS | facts), match)


def test_database_limits_moves_by_itself(shared: psycopg.Connection) -> None:
    with shared.transaction():
        for account in ("s1", "s2"):
            shared.execute(OVER.format_map(FACTS | {"account": account}))
    refused(shared, OVER.format_map(FACTS | {"account": "s3"}), "takes part in 2 moves", BUSY)


def test_database_keeps_what_is_fixed(shared: psycopg.Connection) -> None:
    test = ready_copy(shared, "s1")
    registry.begin_over(shared, "s1", "2026", "r", "customer")
    move = "UPDATE accounts SET home_server = 'web-2' WHERE name = 's1'"
    refused(shared, move, "belongs to web-1 until it is moved over")
    refused(shared, "UPDATE accounts SET server = 'web-2' WHERE name = 's1'", "until a move commits")
    refused(shared, "INSERT INTO account_engines VALUES ('s1', 'mariadb', 'db-1')", "until a move commits")
    refused(shared, "UPDATE tests SET server = 'web-2'", "keeps its account")
    refused(shared, "UPDATE tests SET epoch = 0", "only grows")
    refused(shared, "UPDATE tests SET state = 'copying'", "cannot go from ready to copying")
    refused(shared, "DELETE FROM tests", "kept for ever")
    refused(shared, "UPDATE moves SET entry = 'postgresql-17'", "keeps its account")
    refused(shared, "UPDATE catalogue SET to_version = '2030' WHERE name = '2026'", "has been used")
    refused(shared, "UPDATE accounts SET customer = 'other' WHERE name = 'a1-1'", "is customer customer-1's")
    assert registry.test(shared, test.id) == test


def test_account_lives_on_no_test_or_database_server(shared: psycopg.Connection) -> None:
    for server in ("test-1", "db-1"):
        with pytest.raises(RegistryRefused, match="an account's home is a shared, dedicated or VPS server"):
            registry.add_account(shared, "late", server, [])


def test_test_server_with_a_copy_is_not_taken_for_a_fresh_one(shared: psycopg.Connection) -> None:
    ready_copy(shared, "s1")
    with pytest.raises(RegistryRefused, match="a test copy of s1"):
        registry.enrol_server(shared, "test-1", "2026", host.KEY + "other", {})
    gone(shared, "s1")
    registry.enrol_server(shared, "test-1", "2026", host.KEY + "other", {})


def test_what_runs_what(shared: psycopg.Connection) -> None:
    web, database = registry.server(shared, "web-1"), registry.server(shared, "db-1")
    assert (web.runs("infrastructure"), web.runs("postgresql"), web.runs("mariadb")) == ("2022", "15", "")
    assert (database.runs("postgresql"), database.runs("mariadb")) == ("17", "11.8")
    for server in (web, database):
        for kind in ("infrastructure", "postgresql", "mariadb"):
            ((found,),) = shared.execute("SELECT server_runs(%s, %s)", [server.name, kind]).fetchall()
            assert found == server.runs(kind)
    shared.commit()
    with pytest.raises(RegistryRefused, match="s1 runs on postgresql 15, but 2030 starts from 17"):
        registry.sync_catalogue(shared, [registry.Entry("2030", "Later", "postgresql", "17", "18")])
        registry.begin_test(shared, "s1", "2030", "r", "customer")


@pytest.mark.parametrize(("entry", "kind"), [("2026", "infrastructure"), ("postgresql-17", "postgresql")])
def test_an_account_is_tested_in_its_own_layout(shared: psycopg.Connection, entry: str, kind: str) -> None:
    registry.record_description(shared, "test-1", {**host.DISK, "layout": "classic"})
    with pytest.raises(RegistryRefused, match=rf"No test server with {kind} \d+ and the layout native has room for s1"):
        registry.begin_test(shared, "s1", entry, "t1", "customer")
    refused = (
        "INSERT INTO tests (account, entry, server, epoch, run_id, requested_by, state) "
        "SELECT 's1', %s, 'test-1', epoch, 't2', 'customer', 'preparing' FROM accounts WHERE name = 's1'"
    )
    with pytest.raises(psycopg.Error, match="s1 lives on web-1, whose layout is native, and test-1 has the layout cla"):
        shared.execute(refused, (entry,))
    shared.rollback()
    registry.record_description(shared, "web-1", {**host.DISK, "layout": "classic"})
    assert registry.begin_test(shared, "s1", entry, "t1", "customer").server == "test-1"


def test_an_account_moves_over_in_its_own_layout_and_its_databases_anywhere(shared: psycopg.Connection) -> None:
    for server in ("web-2", "web-3", "db-1"):
        registry.record_description(shared, server, {**host.DISK, "layout": "classic"})
    for named in (None, "web-2"):
        with pytest.raises(RegistryRefused, match="infrastructure 2026 and the layout native"):
            registry.begin_over(shared, "s1", "2026", "o1", "customer", lift_gate_because="a test", to_server=named)
    assert registry.begin_over(shared, "s2", "postgresql-17", "o2", "c", lift_gate_because="a test").to_server == "db-1"
    registry.record_description(shared, "web-1", {**host.DISK, "layout": "classic"})
    moved = registry.begin_over(shared, "s1", "2026", "o1", "customer", lift_gate_because="a test")
    assert moved.to_server in ("web-2", "web-3")


def test_server_is_chosen_by_room_and_load(shared: psycopg.Connection) -> None:
    big = {"account": "s1", "state": "serving", "home_bytes": 30 * host.GB, "sites": [{"domain": "s1.example"}]}
    registry.sync_accounts(shared, "web-1", [big])
    less = {"disk": {"free_bytes": 35 * host.GB}, "accounts": []}
    for name in ("web-2", "test-1"):
        registry.record_description(shared, name, less)
    with pytest.raises(RegistryRefused, match="No test server with infrastructure 2026 has room for s1"):
        registry.begin_test(shared, "s1", "2026", "r", "customer")
    with pytest.raises(RegistryRefused, match="web-2 cannot take s1"):
        registry.begin_over(shared, "s1", "2026", "r", "ops", "web-2", "sql")
    registry.pause_server(shared, "web-3", "a broken fan", "ops")
    for to in (None, "web-3"):
        with pytest.raises(RegistryRefused, match="room"):
            registry.begin_over(shared, "s1", "2026", "r", "ops", to, "sql")
    registry.resume_server(shared, "web-3", "ops")
    assert registry.begin_over(shared, "s1", "2026", "r", "ops", None, "sql").to_server == "web-3"
    # web-3 takes part in a move already.
    assert registry.begin_over(shared, "s2", "2026", "r2", "ops", None, "sql").to_server == "web-2"


def test_account_whose_names_have_an_ipv6_address_goes_where_there_is_one(shared: psycopg.Connection) -> None:
    registry.add_ip(shared, "2001:db8:100::31", "web-1")
    registry.add_name(shared, "s1.example", "AAAA", "s1", "2001:db8:100::31")
    with pytest.raises(RegistryRefused, match="No shared server"):
        registry.begin_over(shared, "s1", "2026", "r", "ops", None, "sql")
    registry.add_ip(shared, "2001:db8:100::33", "web-3")
    move = committed(shared, registry.begin_over(shared, "s1", "2026", "r", "ops", None, "sql"))
    assert move.to_server == "web-3"
    assert {name.address for name in registry.names_of_account(shared, "s1")} == {
        "198.51.100.33",
        "2001:db8:100::33",
    }


def test_returned_move_over_tries_again_with_a_new_epoch(shared: psycopg.Connection) -> None:
    first = registry.begin_over(shared, "s1", "2026", "r", "ops", None, "sql")
    registry.advance_move(shared, first.id, "copying")
    registry.advance_move(shared, first.id, "returned")
    assert registry.account(shared, "s1").server == "web-1"
    again = registry.begin_over(shared, "s1", "2026", "r", "ops", None, "sql")
    assert (again.id, again.state, again.to_server) == (first.id, "preparing", first.to_server)
    assert again.epoch > first.epoch
    with pytest.raises(RegistryRefused, match="Run r moves s1"):
        registry.begin_over(shared, "s2", "2026", "r", "ops", None, "sql")


def test_abandoned_and_half_removed_copies_are_removed_too(shared: psycopg.Connection) -> None:
    left = registry.begin_test(shared, "s1", "2026", "r1", "customer")
    half = ready_copy(shared, "s2")
    registry.advance_test(shared, half.id, "removing")
    assert registry.expired_tests(shared, NOW) == [registry.test(shared, half.id)]
    later = NOW + timedelta(days=3)
    assert [test.id for test in registry.expired_tests(shared, later)] == [left.id, half.id]


def test_report_is_of_a_copy_that_is_there(shared: psycopg.Connection) -> None:
    test = registry.begin_test(shared, "s1", "2026", "r", "customer")
    with pytest.raises(RegistryRefused, match="is preparing"):
        registry.record_test_report(shared, test.id, {}, 0, 0)
    registry.advance_test(shared, test.id, "removing", failure="no room")
    registry.advance_test(shared, test.id, "removed")
    assert registry.test(shared, test.id).failure == "no room"
    assert registry.latest_test_of(shared, "s1", "2026") is None


def test_customers(shared: psycopg.Connection) -> None:
    assert registry.account(shared, "s1").customer == "customer-s1"
    registry.set_customer(shared, "s1", "another")
    assert registry.add_account(shared, "s1", "web-1", ["s1.example"]).customer == "another"
    with pytest.raises(RegistryRefused, match="is customer customer-1's"):
        registry.set_customer(shared, "a1-1", "another")


def test_another_account_of_a_removed_ones_name_knows_nothing_of_it(shared: psycopg.Connection) -> None:
    test = ready_copy(shared, "s1")
    registry.remove_account(shared, "s1", "gone", "customer")
    registry.add_account(shared, "s1", "web-1")
    assert registry.account(shared, "s1").customer is None, "nobody's until somebody says"
    assert registry.latest_test_of(shared, "s1", "2026") is None
    assert registry.test(shared, test.id).report is None
    assert "s1" not in {event.account for event in registry.customers_events(shared, "stranger")}


def test_what_a_test_or_database_server_describes_is_no_contradiction(shared: psycopg.Connection) -> None:
    for server in ("test-1", "db-1"):
        assert registry.sync_accounts(shared, server, [{"account": "s1", "state": "serving", "sites": []}]) == []
    assert "account.contradiction" not in [event.kind for event in registry.list_events(shared)]


def test_one_test_of_an_account_at_once(shared: psycopg.Connection, connect: Connect) -> None:
    answers = each_at_once(
        connect, range(20), lambda c, n: registry.begin_test(c, "s1", "2026", f"run-{n}", "customer")
    )
    assert sum(isinstance(answer, RegistryRefused) for answer in answers) == 19
    assert registry.account(shared, "s1").epoch == 1
    same = at_once(connect, [lambda c: registry.begin_test(c, "s2", "2026", "run", "customer").id] * 20)
    assert len(set(same)) == 1
    assert registry.account(shared, "s2").epoch == 1


def test_account_is_either_tested_or_moved(shared: psycopg.Connection, connect: Connect) -> None:
    def call(c: psycopg.Connection, n: int) -> object:
        if n < 10:
            return registry.begin_test(c, "s1", "2026", f"test-{n}", "customer")
        return registry.begin_over(c, "s1", "2026", f"move-{n}", "c", None, "sql")

    answers = each_at_once(connect, range(20), call)
    begun = [answer for answer in answers if not isinstance(answer, RegistryRefused)]
    assert len(begun) == 1
    moving, testing = registry.live_move_of(shared, "s1"), registry.live_test_of(shared, "s1")
    assert (moving is None) != (testing is None)


def test_moves_over_of_many_accounts_at_once(shared: psycopg.Connection, connect: Connect) -> None:
    for n in range(4, 20):
        registry.add_account(shared, f"s{n}", "web-1", [])
    names = [f"s{n}" for n in range(1, 20)]
    answers = each_at_once(
        connect, names, lambda c, name: registry.begin_over(c, name, "2026", f"run-{name}", "ops", None, "sql")
    )
    busy = [answer for answer in answers if isinstance(answer, registry.Busy)]
    assert len(busy) == len(names) - registry.MAX_MOVES_PER_SERVER
