"""Many callers at once, on real PostgreSQL."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from include import registry
from include.registry import RegistryRefused
from tests.registry import host
from tests.registry.callers import Connect, at_once, each_at_once

CALLERS = 50


@pytest.fixture
def fifty(conn: psycopg.Connection) -> list[int]:
    host.add_host(conn, originals=CALLERS, transits=30, accounts=1)
    return [host.begin(conn, n) for n in range(1, CALLERS + 1)]


def test_fifty_ask_at_once_one_transit_each_nobody_twice_order_kept(
    conn: psycopg.Connection, connect: Connect, fifty: list[int]
) -> None:
    order = fifty[::3] + fifty[1::3] + fifty[2::3]
    for id in order:
        registry.request_transit(conn, id)
    each_at_once(connect, fifty, registry.assign_transit)
    given = {id: registry.migration(conn, id).transit for id in order}
    assert [id for id in order if given[id]] == order[:30], "the first 30 of the queue"
    assert len({transit for transit in given.values() if transit}) == 30
    for n in range(20):
        host.add_server(conn, f"late-{n}", "transit", 200 + n)
    answers = each_at_once(connect, fifty, registry.assign_transit)
    assert Counter(answers) == Counter({name: 1 for name in answers})
    assert None not in answers
    assert [registry.migration(conn, id).transit for id in order[:30]] == [given[id] for id in order[:30]]


def test_fifty_ask_and_are_served_at_once(conn: psycopg.Connection, connect: Connect, fifty: list[int]) -> None:
    def ask(connection: psycopg.Connection, id: int) -> str | None:
        registry.request_transit(connection, id)
        return registry.assign_transit(connection, id)

    each_at_once(connect, fifty, ask)
    registry.assign_transit(conn, fifty[0])
    served = [registry.certain(registry.request_of(conn, id)) for id in fifty]
    served.sort(key=lambda request: request.rank)
    assert [request.state for request in served] == ["assigned"] * 30 + ["waiting"] * 20
    assert len({request.transit for request in served[:30]}) == 30


def test_one_run_started_fifty_times(conn: psycopg.Connection, connect: Connect) -> None:
    host.add_host(conn)
    answers = at_once(
        connect, [lambda c: registry.begin_migration(c, "vps-1", "2026", "run", "ops", host.UNTESTED).id] * CALLERS
    )
    (id,) = set(answers)
    assert isinstance(id, int)
    assert [event.kind for event in registry.list_events(conn, migration_id=id)] == [
        "migration.began",
        "gate.lifted",
    ]


def test_fifty_runs_for_one_server(conn: psycopg.Connection, connect: Connect) -> None:
    host.add_host(conn)
    answers = each_at_once(
        connect,
        range(CALLERS),
        lambda c, n: registry.begin_migration(c, "vps-1", "2026", f"run-{n}", "ops", host.UNTESTED),
    )
    assert sum(isinstance(answer, RegistryRefused) for answer in answers) == CALLERS - 1


def test_fifty_accounts_of_one_server_performed_at_once(conn: psycopg.Connection, connect: Connect) -> None:
    host.add_host(conn, accounts=CALLERS)
    id = host.handed_over(conn)
    names = [account.name for account in registry.accounts_of(conn, "vps-1")]
    answers = each_at_once(
        connect, names, lambda c, name: registry.begin_move(c, name, "transit-1", f"run-{name}", "c")
    )
    assert sum(isinstance(answer, RegistryRefused) for answer in answers) == CALLERS - 1
    assert len(registry.moves_of(conn, id)) == 1


def test_one_move_started_and_committed_fifty_times(conn: psycopg.Connection, connect: Connect) -> None:
    host.add_host(conn)
    host.handed_over(conn)
    answers = at_once(connect, [lambda c: registry.begin_move(c, "a1-1", "transit-1", "run", "customer")] * CALLERS)
    moves = {answer.id: answer for answer in answers if not isinstance(answer, RegistryRefused)}
    assert len(answers) == CALLERS and len(moves) == 1, answers
    (move,) = moves.values()
    assert registry.account(conn, "a1-1").epoch == move.epoch == 1
    registry.advance_move(conn, move.id, "copying")
    registry.advance_move(conn, move.id, "switching")
    at_once(connect, [lambda c: registry.advance_move(c, move.id, "committed")] * CALLERS)
    kinds = [event.kind for event in registry.list_events(conn, account="a1-1")]
    assert kinds.count("move.committed") == 1


def test_account_created_while_the_original_goes_to_be_reinstalled(conn: psycopg.Connection, connect: Connect) -> None:
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


def test_account_created_on_the_transit_while_the_migration_is_cancelled(
    conn: psycopg.Connection, connect: Connect
) -> None:
    host.add_host(conn)
    id = host.handed_over(conn)
    with pytest.raises(RegistryRefused, match="live on its transit transit-1 .late."):
        while_created(connect, "transit-1", lambda c: registry.cancel_migration(c, id, "no", "ops"))


def while_created(connect: Connect, server: str, call: Callable[[psycopg.Connection], object]) -> object:
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


def test_reader_of_one_migrations_events_misses_none(conn: psycopg.Connection, connect: Connect, dsn: str) -> None:
    host.add_host(conn, accounts=8)
    id = host.handed_over(conn)
    stop, seen, last = threading.Event(), [], 0

    def work() -> None:
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
