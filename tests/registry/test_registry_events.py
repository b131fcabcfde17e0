"""Following the log: nothing is missed, nothing comes twice, and nobody reads another customer's."""

import random
import threading
import time

import psycopg
import pytest

from include import registry
from include.registry.kinds import EventKind
from tests.registry import host
from tests.registry.callers import Connect


def test_event_is_its_customers_at_the_time(conn: psycopg.Connection) -> None:
    host.add_host(conn, originals=2)
    host.add_server(conn, "web-1", "shared", 31)
    registry.add_account(conn, "s1", "web-1", [], "first")
    registry.set_customer(conn, "s1", "second")
    assert [event.kind for event in registry.customers_events(conn, "first")] == ["account.added"]
    assert [event.kind for event in registry.customers_events(conn, "second")] == ["account.customer"]
    id = host.begin(conn)
    assert registry.customers_events(conn, "customer-1")[-1].migration == id
    seen = registry.customers_events(conn, "customer-2")
    assert {event.server for event in seen} <= {"vps-2", None} and {event.account for event in seen} >= {"a2-1"}
    assert [event.id for event in registry.customers_events(conn, "customer-2", seen[0].id)] == [
        event.id for event in seen[1:]
    ]


def test_older_event_that_is_committed_later_holds_back_the_younger(conn: psycopg.Connection, connect: Connect) -> None:
    assert registry.settled(conn) == 0
    first = registry.event(conn, EventKind.ACCOUNT_ADDED)
    slow, quick = connect(), connect()
    slow.execute("BEGIN")
    older = registry.event(slow, EventKind.ACCOUNT_CHANGED)
    with slow.transaction(force_rollback=True):
        registry.event(slow, EventKind.ACCOUNT_DIFFERS)
    younger = registry.event(quick, EventKind.ACCOUNT_CONFIRMED)
    assert older < younger
    assert registry.settled(conn) == first
    assert [event.id for event in registry.customers_events(conn, None)] == [first]
    slow.commit()
    assert [event.id for event in registry.customers_events(conn, None, first)] == [older, younger]


def test_writer_that_gave_up_holds_nothing_back(conn: psycopg.Connection, connect: Connect) -> None:
    other = connect()
    for end in (other.rollback, other.commit):
        other.execute("BEGIN")
        with other.transaction(force_rollback=True):
            registry.event(other, EventKind.ACCOUNT_CHANGED)
        id = registry.event(conn, EventKind.ACCOUNT_DIFFERS)
        assert registry.settled(conn) == id, "the savepoint's lock went with it"
        registry.event(other, EventKind.ACCOUNT_CONFIRMED)
        end()
        assert registry.customers_events(conn, None)[-1].id >= id


def test_follower_of_the_whole_log_misses_none(conn: psycopg.Connection, connect: Connect, dsn: str) -> None:
    """Writers whose transactions overlap at random, and a reader that goes on from the last id that it was given."""
    stop = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        with psycopg.connect(dsn) as mine:
            while not stop.is_set():
                mine.execute("BEGIN")
                for _ in range(chance.randint(1, 3)):
                    registry.event(mine, EventKind.ACCOUNT_CHANGED, detail={"by": seed})
                    time.sleep(chance.random() / 300)
                mine.rollback() if chance.random() < 0.2 else mine.commit()

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(5)]
    for writer in writers:
        writer.start()
    seen: list[int] = []
    until, disorder = time.monotonic() + 1.5, 0
    while time.monotonic() < until:
        by_id = [event.id for event in registry.list_events(conn)]
        disorder += len(set(range(1, by_id[-1] + 1)) - set(by_id)) > 0 if by_id else 0
        seen += [event.id for event in registry.customers_events(conn, None, seen[-1] if seen else 0)]
    stop.set()
    for writer in writers:
        writer.join()
    seen += [event.id for event in registry.customers_events(conn, None, seen[-1] if seen else 0)]
    assert disorder, "there was something to miss"
    assert seen == [event.id for event in registry.list_events(conn, limit=100_000)]


def test_reader_goes_on_where_it_stood(conn: psycopg.Connection, connect: Connect) -> None:
    ids = [registry.event(conn, EventKind.ACCOUNT_CHANGED) for _ in range(5)]
    assert [event.id for event in registry.unread(conn, "webhook", 2)] == ids[:2]
    registry.read_through(conn, "webhook", ids[1])
    assert [event.id for event in registry.unread(conn, "webhook")] == ids[2:]
    registry.read_through(conn, "webhook", ids[0])
    assert [event.id for event in registry.unread(conn, "webhook")] == ids[1:], "again"
    assert len(registry.unread(conn, "another")) == 5
    one, two = connect(), connect()
    one.execute("BEGIN")
    registry.unread(one, "webhook")
    two.execute("SET lock_timeout = '100ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        registry.unread(two, "webhook")


def test_listeners_are_called_when_events_are_committed(conn: psycopg.Connection, connect: Connect) -> None:
    listening = connect()
    listening.autocommit = True
    listening.execute("LISTEN events")
    conn.execute("BEGIN")
    registry.event(conn, EventKind.ACCOUNT_CHANGED)
    registry.event(conn, EventKind.ACCOUNT_DIFFERS)
    assert list(listening.notifies(timeout=0.1)) == []
    conn.commit()
    assert len(list(listening.notifies(timeout=2, stop_after=1))) == 1
