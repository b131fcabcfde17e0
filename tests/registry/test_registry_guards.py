"""The database refuses by itself: the same with plain SQL, past the functions."""

import psycopg
import pytest

from include import registry
from include.registry.database import REFUSED
from include.registry.states import MACHINES
from tests.registry import host


def refused(conn: psycopg.Connection, sql: str, match: str) -> None:
    with pytest.raises(psycopg.Error, match=match) as caught, conn.transaction():
        conn.execute(sql)
    assert caught.value.sqlstate == REFUSED, caught.value


def violates(conn: psycopg.Connection, sql: str, constraint: str) -> None:
    with pytest.raises(psycopg.errors.IntegrityError) as caught, conn.transaction():
        conn.execute(sql)
    assert caught.value.diag.constraint_name == constraint


@pytest.fixture
def migrating(conn: psycopg.Connection) -> int:
    host.add_host(conn, originals=2, transits=2)
    return host.handed_over(conn)


def test_events_are_append_only(conn: psycopg.Connection, migrating: int) -> None:
    refused(conn, "UPDATE events SET kind = 'x'", "cannot be changed")
    refused(conn, "DELETE FROM events", "cannot be deleted")
    refused(conn, "TRUNCATE events", "cannot be deleted")
    refused(conn, "TRUNCATE accounts CASCADE", "cannot be deleted")


@pytest.mark.parametrize("table", ["migrations", "moves", "leases", "accounts", "transit_requests"])
def test_history_is_kept(conn: psycopg.Connection, migrating: int, table: str) -> None:
    registry.begin_move(conn, "a1-1", "transit-1", "r", "c")
    refused(conn, f"DELETE FROM {table}", "kept for ever")


def test_account_lives_where_a_move_brought_it(conn: psycopg.Connection, migrating: int) -> None:
    change = "UPDATE accounts SET server = 'transit-1' WHERE name = 'a1-1'"
    refused(conn, change, "until a move commits")
    move = registry.begin_move(conn, "a1-1", "transit-1", "r", "c")
    refused(conn, change, "until a move commits")
    with conn.transaction():
        conn.execute("UPDATE moves SET state = 'copying'")
        conn.execute("UPDATE moves SET state = 'switching'")
        conn.execute("UPDATE moves SET state = 'committed'")
    assert registry.account(conn, "a1-1").server == "transit-1"
    assert registry.move(conn, move.id).committed_at is not None
    # A commit of the past is no licence to go back.
    refused(conn, "UPDATE accounts SET server = 'vps-1' WHERE name = 'a1-1'", "until a move commits")


def test_epochs_grow(conn: psycopg.Connection, migrating: int) -> None:
    registry.begin_move(conn, "a1-1", "transit-1", "r", "c")
    refused(conn, "UPDATE accounts SET epoch = 0 WHERE name = 'a1-1'", "only grows")
    refused(conn, "UPDATE moves SET epoch = 0", "only grows")


def test_states(conn: psycopg.Connection, migrating: int) -> None:
    refused(conn, "UPDATE migrations SET state = 'checking'", "cannot go from handed_over to checking")
    refused(conn, "UPDATE migrations SET state = NULL", "to nothing")
    refused(conn, "UPDATE migrations SET state = 'accounts_moved'", "Accounts live on vps-1")
    refused(conn, "UPDATE servers SET state = 'reinstalling' WHERE name = 'vps-1'", "Accounts live on vps-1")
    refused(conn, "UPDATE servers SET state = 'free' WHERE name = 'transit-1'", "from handed_over to free")
    refused(conn, "UPDATE servers SET state = 'wiped' WHERE name = 'transit-1'", "still needs transit-1")
    host.moved(conn, "a1-1", "transit-1")
    refused(conn, "UPDATE servers SET state = 'wiped' WHERE name = 'transit-1'", "Accounts live on transit-1")
    refused(conn, "UPDATE migrations SET state = 'cancelled'", "a1-1 was performed")
    refused(conn, "UPDATE migrations SET transit = 'transit-2'", "keeps its server")


def test_empty_server_is_reinstalled_only_by_its_migration(conn: psycopg.Connection, migrating: int) -> None:
    host.add_server(conn, "vps-7", "vps", 77, customer="c")
    refused(conn, "UPDATE servers SET state = 'reinstalling' WHERE name = 'vps-7'", "has no migration")


def test_a_shared_server_is_finished_when_nobody_is_on_it_or_on_the_way(
    conn: psycopg.Connection, migrating: int
) -> None:
    for number, infrastructure in ((77, "2022"), (78, "2026")):
        host.add_server(conn, f"shared-{number}", "shared", number)
        registry.enrol_server(conn, f"shared-{number}", infrastructure, f"{host.KEY}{number}", {})
        registry.add_ip(conn, f"198.51.100.{number}", f"shared-{number}")
        registry.record_description(conn, f"shared-{number}", host.DISK)
    registry.add_account(conn, "shop", "shared-77", [], customer="c")
    finish = "UPDATE servers SET state = 'reinstalling' WHERE name = 'shared-77'"
    refused(conn, finish, "Accounts live on shared-77")
    move = registry.begin_over(conn, "shop", "2026", "r", "c", None, "a test")
    for state in ("copying", "switching", "committed"):
        registry.advance_move(conn, move.id, state)
    refused(conn, finish, "Server shared-77 takes part in moves")
    registry.advance_move(conn, move.id, "done")
    conn.execute(finish)
    conn.execute("UPDATE servers SET state = 'wiped' WHERE name = 'shared-77'")
    assert registry.server(conn, "shared-77").host_key is None
    refused(conn, "UPDATE servers SET state = 'serving' WHERE name = 'shared-77'", "from wiped")
    host.add_server(conn, "test-7", "test", 79)
    conn.execute("ALTER TABLE servers DISABLE TRIGGER USER")
    violates(conn, "UPDATE servers SET state = 'wiped' WHERE name = 'test-7'", "servers_state_fits_kind")


def test_original_with_routed_ip_is_not_reinstalled(conn: psycopg.Connection) -> None:
    host.add_host(conn)
    id = host.handed_over(conn)
    host.moved(conn, "a1-1", "transit-1")
    host.moved(conn, "a1-2", "transit-1")
    registry.last_account_left(conn, id)
    for ip in registry.ips_of(conn, "vps-1"):
        registry.ip_routed(conn, ip.address, "transit-1")
    registry.advance(conn, id, "rerouted")
    registry.advance(conn, id, "original_empty")
    registry.add_ip(conn, "198.51.100.99", "vps-1")
    refused(conn, "UPDATE migrations SET state = 'reinstalling'", "IPs are routed to vps-1")


def test_one_live_thing_each(conn: psycopg.Connection, migrating: int) -> None:
    insert = "INSERT INTO migrations (server, entry, from_infrastructure, to_infrastructure, run_id,"
    insert += " requested_by, state, lift_gate_because)"
    insert += " VALUES ('vps-1', '2026', '2022', '2026', 'x', 'ops', 'checking', 'no gate')"
    violates(conn, insert, "one_live_migration_a_server")
    lease = "INSERT INTO leases (migration, transit, server, plan, handed_over_at, expected_end_at)"
    id = host.begin(conn, 2)
    lease += f" VALUES ({id}, 'transit-1', 'vps-2', 'small', now(), now())"
    violates(conn, lease, "one_live_lease_a_transit")
    registry.request_transit(conn, id)
    again = f"INSERT INTO transit_requests (migration, plan, rank, state) VALUES ({id}, 'small', 9, 'waiting')"
    violates(conn, again, "one_live_request_a_migration")
    given = f"UPDATE transit_requests SET state = 'assigned', transit = 'transit-1' WHERE migration = {id}"
    violates(conn, given, "one_assignment_a_transit")


def test_lease_keeps_what_billing_counts_from(conn: psycopg.Connection, migrating: int) -> None:
    refused(conn, "UPDATE leases SET handed_over_at = now() - interval '1 day'", "stays")
    with conn.transaction():
        conn.execute("UPDATE leases SET last_account_left_at = now(), expected_end_at = now()")
    refused(conn, "UPDATE leases SET last_account_left_at = NULL", "stays")


def test_wiped_before_the_pool(conn: psycopg.Connection, migrating: int) -> None:
    registry.cancel_migration(conn, migrating, "no", "c")
    refused(conn, "UPDATE transit_requests SET state = 'returned_to_pool'", "is not wiped")
    registry.transit_wiped(conn, migrating)
    refused(conn, "UPDATE servers SET state = 'free' WHERE name = 'transit-1'", "still assigned")
    registry.return_transit(conn, migrating)
    assert registry.server(conn, "transit-1").state == "free"


def test_declared_transitions_are_the_databases(conn: psycopg.Connection) -> None:
    found = conn.execute("SELECT subject, source, target FROM transitions").fetchall()
    assert set(found) == {(m.subject, t.source, t.target) for m in MACHINES for t in m.transitions}
    for subject, table in (("migration", "migrations"), ("move", "moves"), ("request", "transit_requests")):
        machine = next(m for m in MACHINES if m.subject == subject)
        ((definition,),) = conn.execute(
            """
            SELECT string_agg(pg_get_expr(indpred, indrelid), ' ') FROM pg_index
            WHERE indrelid = %s::regclass
            """,
            [table],
        ).fetchall()
        finals = machine.final() if subject != "move" else ("done", "returned")
        for state in finals if subject != "request" else ("cancelled",):
            assert f"'{state}'" in definition
