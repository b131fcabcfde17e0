"""Test copies, the gate, and moves over: what begins, what is refused, and what a commit changes."""

from datetime import UTC, datetime, timedelta

import pytest

from include import registry
from include.registry import Refused
from tests.registry import host

NOW = datetime.now(UTC)
DISK = {"disk": {"total_bytes": 100 * host.GB, "free_bytes": 50 * host.GB}, "accounts": []}


@pytest.fixture
def shared(conn):
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
        registry.record_description(conn, name, DISK)
        registry.add_ip(conn, f"198.51.100.{n}", name)
    registry.sync_catalogue(
        conn, [registry.Entry("postgresql-17", "PostgreSQL 17", "postgresql", "15", "17", True, None, NOW.date())]
    )
    for n in (1, 2, 3):
        registry.add_account(conn, f"s{n}", "web-1", [f"s{n}.example"], f"customer-s{n}")
        registry.add_name(conn, f"s{n}.example", "A", f"s{n}", "198.51.100.31")
    return conn


def ready_copy(conn, account, entry="2026", blockers=0, run=None):
    """Test an account; its copy is ready."""
    test = registry.begin_test(conn, account, entry, run or f"test-{account}-{entry}-{blockers}", "customer")
    registry.advance_test(conn, test.id, "copying")
    registry.record_test_report(conn, test.id, {"verdict": "ready"}, blockers, 0)
    return registry.advance_test(conn, test.id, "ready", names={}, expires_at=NOW + timedelta(days=7))


def gone(conn, account):
    """Take the account's test copy away."""
    test = registry.replace_test(conn, account, "another run")
    registry.advance_test(conn, test.id, "removed")


def committed(conn, move):
    for state in ("copying", "switching", "committed"):
        move = registry.advance_move(conn, move.id, state)
    return move


def test_test_from_beginning_to_end(shared):
    test = registry.begin_test(shared, "s1", "2026", "r", "customer")
    assert (test.server, test.state, test.epoch, test.key) == ("test-1", "preparing", 1, f"t{test.id}")
    assert registry.begin_test(shared, "s1", "2026", "r", "customer") == test
    registry.advance_test(shared, test.id, "copying")
    with pytest.raises(Refused, match="expires at a time"):
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
    assert registry.latest_test_of(shared, "s1", "2026").blockers == 2
    assert registry.account(shared, "s1").server == "web-1", "a test is no move"
    again = registry.begin_test(shared, "s1", "2026", "r", "customer")
    assert (again.id, again.state, again.epoch, again.failure) == (test.id, "preparing", 2, None)


def test_ready_copy_is_replaced_and_one_at_work_is_not(shared):
    first = ready_copy(shared, "s1")
    with pytest.raises(Refused, match="another test copy"):
        registry.begin_test(shared, "s1", "2026", "r2", "customer")
    assert registry.replace_test(shared, "s1", "r2").id == first.id
    assert registry.replace_test(shared, "s1", "r2").state == "removing"
    registry.advance_test(shared, first.id, "removed")
    assert registry.replace_test(shared, "s1", "r2") is None
    second = registry.begin_test(shared, "s1", "2026", "r2", "customer")
    assert second.id != first.id and second.epoch > first.epoch
    assert registry.replace_test(shared, "s1", "r2") is None
    with pytest.raises(Refused, match="being tested already .run r2."):
        registry.replace_test(shared, "s1", "r3")
    assert [one.id for one in registry.tests_of(shared, "s1")] == [second.id, first.id]


def test_whole_account_moves_over(shared):
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
    with pytest.raises(Refused, match="being moved already|runs infrastructure 2026"):
        registry.begin_over(shared, "s1", "2026", "r2", "customer")


def test_engine_moves_alone(shared):
    ready_copy(shared, "s1", "postgresql-17")
    move = committed(shared, registry.begin_over(shared, "s1", "postgresql-17", "r", "customer"))
    assert (move.engine, move.to_server) == ("postgresql", "db-1")
    assert registry.account(shared, "s1").server == "web-1"
    assert registry.engines_of(shared, "s1") == {"postgresql": "db-1"}
    registry.advance_move(shared, move.id, "done")
    with pytest.raises(Refused, match="accounts live on it .s1's postgresql databases."):
        registry.enrol_server(shared, "db-1", "2026", host.KEY + "other", {})
    for entry in ("postgresql-17", "2026"):
        with pytest.raises(Refused, match="postgresql databases of account s1 live on db-1"):
            registry.begin_over(shared, "s1", entry, "r2", "customer", None, "no gate")


def test_gate(shared):
    with pytest.raises(Refused, match="s1 has not been tested for 2026"):
        registry.begin_over(shared, "s1", "2026", "r", "customer")
    ready_copy(shared, "s1", blockers=1)
    with pytest.raises(Refused, match="found a blocker"):
        registry.begin_over(shared, "s1", "2026", "r", "customer")
    with pytest.raises(Refused, match="give the reason"):
        registry.begin_over(shared, "s1", "2026", "r", "ops", None, " ")
    gone(shared, "s1")
    ready_copy(shared, "s1", run="fixed")
    assert registry.begin_over(shared, "s1", "2026", "r", "customer").state == "preparing"
    registry.begin_over(shared, "s2", "2026", "r2", "ops", "web-2", "the customer asked by telephone")
    (event,) = [event for event in registry.events(shared) if event.kind == "gate.lifted"]
    assert (event.account, event.by, event.detail["reason"]) == ("s2", "ops", "the customer asked by telephone")


def test_gate_of_a_server(conn):
    host.add_host(conn)
    host.add_server(conn, "test-1", "test", 41)
    registry.enrol_server(conn, "test-1", "2026", host.KEY, {})
    registry.record_description(conn, "test-1", DISK)
    assert len(registry.untested(conn, "vps-1", "2026")) == 2
    with pytest.raises(Refused, match="a1-1 has not been tested.*a1-2 has not been tested"):
        registry.begin_migration(conn, "vps-1", "2026", "r", "ops")
    ready_copy(conn, "a1-1")
    ready_copy(conn, "a1-2", blockers=3)
    assert registry.untested(conn, "vps-1", "2026") == [
        "The test of account a1-2 for 2026 found 3 blockers: correct it and test again."
    ]
    gone(conn, "a1-2")
    ready_copy(conn, "a1-2", run="fixed")
    registry.begin_migration(conn, "vps-1", "2026", "r", "ops")
    assert "gate.lifted" not in [event.kind for event in registry.events(conn)]


def test_most_moves_a_server(shared):
    for n in (1, 2, 3):
        ready_copy(shared, f"s{n}")
    first = registry.begin_over(shared, "s1", "2026", "r1", "customer")
    second = registry.begin_over(shared, "s2", "2026", "r2", "customer")
    assert {first.to_server, second.to_server} == {"web-2", "web-3"}, "load is spread"
    with pytest.raises(registry.Busy, match="web-1 takes part in 2 moves"):
        registry.begin_over(shared, "s3", "2026", "r3", "customer")
    registry.advance_move(shared, first.id, "returned")
    registry.begin_over(shared, "s3", "2026", "r3", "customer")
    assert shared.execute("SELECT most_moves_a_server()").fetchone() == (registry.MOST_MOVES_A_SERVER,)
