"""Many callers at once, on real PostgreSQL."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from include import registry
from include.registry import RegistryRefused
from tests.registry import host
from tests.registry.callers import at_once

CALLERS = 50


@pytest.fixture
def fifty(conn):
    host.add_host(conn, originals=CALLERS, transits=30, accounts=1)
    return [host.begin(conn, n) for n in range(1, CALLERS + 1)]


def test_fifty_ask_at_once_one_transit_each_nobody_twice_order_kept(conn, connect, fifty):
    order = fifty[::3] + fifty[1::3] + fifty[2::3]
    for id in order:
        registry.request_transit(conn, id)
    calls = [lambda c, id=id: registry.assign_transit(c, id) for id in fifty]
    at_once(connect, calls)
    given = {id: registry.migration(conn, id).transit for id in order}
    assert [id for id in order if given[id]] == order[:30], "the first 30 of the queue"
    assert len({transit for transit in given.values() if transit}) == 30
    for n in range(20):
        host.add_server(conn, f"late-{n}", "transit", 200 + n)
    answers = at_once(connect, calls)
    assert Counter(answers) == Counter({name: 1 for name in answers})
    assert None not in answers
    assert [registry.migration(conn, id).transit for id in order[:30]] == [given[id] for id in order[:30]]


def test_fifty_ask_and_are_served_at_once(conn, connect, fifty):
    def ask(connection, id):
        registry.request_transit(connection, id)
        return registry.assign_transit(connection, id)

    at_once(connect, [lambda c, id=id: ask(c, id) for id in fifty])
    registry.assign_transit(conn, fifty[0])
    served = [registry.request_of(conn, id) for id in fifty]
    served.sort(key=lambda request: request.rank)
    assert [request.state for request in served] == ["assigned"] * 30 + ["waiting"] * 20
    assert len({request.transit for request in served[:30]}) == 30


def test_one_run_started_fifty_times(conn, connect):
    host.add_host(conn)
    answers = at_once(
        connect, [lambda c: registry.begin_migration(c, "vps-1", "2026", "run", "ops", host.UNTESTED).id] * CALLERS
    )
    assert len(set(answers)) == 1
    assert [event.kind for event in registry.list_events(conn, migration_id=answers[0])] == [
        "migration.began",
        "gate.lifted",
    ]


def test_fifty_runs_for_one_server(conn, connect):
    host.add_host(conn)
    answers = at_once(
        connect,
        [
            lambda c, n=n: registry.begin_migration(c, "vps-1", "2026", f"run-{n}", "ops", host.UNTESTED)
            for n in range(CALLERS)
        ],
    )
    assert sum(isinstance(answer, RegistryRefused) for answer in answers) == CALLERS - 1


def test_fifty_accounts_of_one_server_performed_at_once(conn, connect):
    host.add_host(conn, accounts=CALLERS)
    id = host.handed_over(conn)
    names = [account.name for account in registry.accounts_of(conn, "vps-1")]
    answers = at_once(connect, [lambda c, n=n: registry.begin_move(c, n, "transit-1", f"run-{n}", "c") for n in names])
    assert sum(isinstance(answer, RegistryRefused) for answer in answers) == CALLERS - 1
    assert len(registry.moves_of(conn, id)) == 1


def test_one_move_started_and_committed_fifty_times(conn, connect):
    host.add_host(conn)
    host.handed_over(conn)
    answers = at_once(connect, [lambda c: registry.begin_move(c, "a1-1", "transit-1", "run", "customer")] * CALLERS)
    assert len(set(answer.id for answer in answers)) == 1
    move = answers[0]
    assert registry.account(conn, "a1-1").epoch == move.epoch == 1
    registry.advance_move(conn, move.id, "copying")
    registry.advance_move(conn, move.id, "switching")
    at_once(connect, [lambda c: registry.advance_move(c, move.id, "committed")] * CALLERS)
    kinds = [event.kind for event in registry.list_events(conn, account="a1-1")]
    assert kinds.count("move.committed") == 1


def test_account_created_while_the_original_goes_to_be_reinstalled(conn, connect):
    """Either the account is seen and the server stays, or the account is refused: never both."""
    host.add_host(conn, accounts=1)
    id = host.handed_over(conn)
    host.moved(conn, "a1-1", "transit-1")
    registry.last_account_left(conn, id)
    for ip in registry.ips_of(conn, "vps-1"):
        registry.ip_routed(conn, ip.address, "transit-1")
    registry.advance(conn, id, "rerouted")
    registry.advance(conn, id, "original_empty")
    with pytest.raises(RegistryRefused, match="Accounts live on vps-1 .late."):
        while_created(connect, "vps-1", lambda c: registry.advance(c, id, "reinstalling"))


def test_account_created_on_the_transit_while_the_migration_is_cancelled(conn, connect):
    host.add_host(conn)
    id = host.handed_over(conn)
    with pytest.raises(RegistryRefused, match="live on its transit transit-1 .late."):
        while_created(connect, "transit-1", lambda c: registry.cancel_migration(c, id, "no", "ops"))


def while_created(connect, server, call):
    """Make the call while another transaction has created an account and not committed yet."""
    creating, other = connect(), connect()
    creating.execute("BEGIN")
    registry.add_account(creating, "late", server, [])
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(call, other)
        with pytest.raises(TimeoutError):
            answer.result(0.3)
        creating.commit()
        return answer.result(10)


def test_reader_of_one_migrations_events_misses_none(conn, connect, dsn):
    host.add_host(conn, accounts=8)
    id = host.handed_over(conn)
    stop, seen, last = threading.Event(), [], 0

    def work():
        with psycopg.connect(dsn) as mine:
            for account in registry.accounts_of(mine, "vps-1"):
                host.moved(mine, account.name, "transit-1")
        stop.set()

    thread = threading.Thread(target=work)
    thread.start()
    while True:
        finished = stop.is_set()
        for event in registry.list_events(conn, migration_id=id, after=last):
            seen.append(event.id)
            last = event.id
        if finished:
            break
    thread.join()
    assert seen == [event.id for event in registry.list_events(conn, migration_id=id)]
