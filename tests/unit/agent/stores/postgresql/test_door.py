"""A real PostgreSQL behind the source's door: a subscription gets its stream, and nobody anything else."""

import os
import select
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from include.agent.channel import pairing
from include.agent.host.system import Refused
from include.agent.stores.postgresql import apply, carried
from include.agent.stores.postgresql import door as postgres_door
from tests.support.postgres import cluster

DOOR = ".s.PGSQL.5432"
OURS = "-c role=none -c search_path=pg_catalog -c default_transaction_read_only=off"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A cluster with alice's database, which is published, and bob's, which she may not enter."""
    with cluster("wal_level=logical", "max_wal_senders=20", "max_replication_slots=20") as dsn:
        with psycopg.connect(f"{dsn} dbname=postgres", autocommit=True) as conn:
            for statement in ("CREATE ROLE alice LOGIN", "CREATE DATABASE alice OWNER alice", "CREATE DATABASE bob"):
                conn.execute(statement)
            conn.execute("CREATE DATABASE target")
        with psycopg.connect(f"{dsn} dbname=alice", autocommit=True) as conn:
            conn.execute("CREATE TABLE t (id int PRIMARY KEY, price money)")
            conn.execute("CREATE PUBLICATION th_follow FOR TABLE t")
            conn.execute("CREATE PUBLICATION other FOR ALL TABLES")
            conn.execute("SELECT pg_create_logical_replication_slot('th_follow_7', 'pgoutput')")
            conn.execute("SELECT pg_create_logical_replication_slot('of_somebody_else', 'pgoutput')")
            conn.execute("SELECT pg_create_physical_replication_slot('physical')")
            # Whoever owns a database may say so for each session in it.
            for setting in ("role = alice", "search_path = evil, public", "default_transaction_read_only = on"):
                conn.execute(f"ALTER DATABASE alice SET {setting}")
        with psycopg.connect(f"{dsn} dbname=target", autocommit=True) as conn:
            conn.execute("CREATE TABLE t (id int PRIMARY KEY, price money)")
        yield dsn


@pytest.fixture(scope="module")
def door(server: str) -> Iterator[Path]:
    """Where the target's PostgreSQL meets the stream: both programs, joined by pipes in the place of SSH."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with _joined(server, Path(name)):
            yield Path(name)


@contextmanager
def _joined(server: str, directory: Path) -> Iterator[None]:
    behind = str(Path(server.split()[0].partition("=")[2]) / DOOR)
    (to_source, from_target), (to_target, from_source) = os.pipe(), os.pipe()
    source = carried.Line(open(to_source, "rb"), open(from_source, "wb"))
    target = carried.Line(open(to_target, "rb"), open(from_target, "wb"))

    def serve_source() -> None:
        with suppress(EOFError, OSError, ValueError):
            while True:
                postgres_door.Visit(source, "alice", "th_follow_7", postgres_door._SETTINGS, behind).serve()

    ended = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / DOOR))
        (directory / DOOR).chmod(0o777)
        listener.listen()

        def serve_target() -> None:
            with suppress(EOFError, OSError):
                while not ended.is_set():
                    if select.select([listener], [], [], 0.1)[0]:
                        apply._let_in(listener.accept()[0], target)

        threads = [threading.Thread(target=each, daemon=True) for each in (serve_source, serve_target)]
        for thread in threads:
            thread.start()
        yield
        ended.set()


def said(
    door: Path, command: str, replication: str = "database", database: str = "alice", user: str = "postgres"
) -> str:
    """What psql gets for a command, with all that a target has: a way to the socket."""
    where = f"host={door} port=5432 dbname={database} user={user} replication={replication} sslmode=prefer"
    done = subprocess.run(["psql", "-X", "-At", where, "-c", command], capture_output=True, text=True, timeout=20)
    return done.stdout + done.stderr


FORBIDDEN = [
    "BASE_BACKUP (LABEL 'x', MANIFEST 'no', CHECKPOINT 'fast')",
    "START_REPLICATION 0/0",
    "START_REPLICATION SLOT physical PHYSICAL 0/0",
    "START_REPLICATION SLOT of_somebody_else LOGICAL 0/0 (proto_version '1', publication_names 'th_follow')",
    "START_REPLICATION SLOT \"of_somebody_else\" LOGICAL 0/0 (proto_version '1', publication_names '\"th_follow\"')",
    "START_REPLICATION SLOT \"th_follow_7\" LOGICAL 0/0 (proto_version '1', publication_names '\"other\"')",
    'START_REPLICATION SLOT "th_follow_7" LOGICAL 0/0 (proto_version \'1\', publication_names \'"th_follow","other"\')',
    "START_REPLICATION SLOT \"th_follow_70\" LOGICAL 0/0 (proto_version '1', publication_names '\"th_follow\"')",
    "CREATE_REPLICATION_SLOT mine LOGICAL pgoutput (SNAPSHOT 'export')",
    "CREATE_REPLICATION_SLOT mine PHYSICAL",
    "DROP_REPLICATION_SLOT th_follow_7",
    "DROP_REPLICATION_SLOT of_somebody_else",
    "READ_REPLICATION_SLOT physical",
    "TIMELINE_HISTORY 1",
    "SHOW data_directory",
    "SELECT 1",
    "SELECT current_user",
    "SELECT pg_catalog.set_config('search_path', 'evil', false);",
    "SELECT pg_catalog.set_config('search_path', '', false); SELECT rolpassword FROM pg_authid;",
    "SELECT t.pubname FROM pg_catalog.pg_publication t WHERE t.pubname IN ('th_follow') OR true",
    "SELECT t.pubname FROM\n pg_catalog.pg_publication t WHERE\n t.pubname IN ('th_follow'); DROP TABLE t",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "ALTER ROLE postgres PASSWORD 'x'",
    "IDENTIFY_SYSTEM; SELECT 1",
    "IDENTIFY_SYSTEM -- \u00e9",
]


@pytest.mark.parametrize("command", FORBIDDEN)
def test_nothing_but_the_stream_is_served(door: Path, command: str) -> None:
    for database, replication in (("alice", "database"), ("bob", "true")):
        assert "is served here" in said(door, command, replication, database)


def test_whatever_name_is_given_it_is_the_same_door(door: Path, server: str) -> None:
    """The database, the user and the kind of session are the door's own."""
    before = said(Path(server.split()[0].partition("=")[2]), "IDENTIFY_SYSTEM", user="postgres")
    for database, user, replication in (("bob", "alice", "true"), ("none", "nobody", "false"), ("alice", "x-y", "1")):
        found = said(door, "IDENTIFY_SYSTEM", replication, database, user)
        assert found.split("|")[0] == before.split("|")[0] and found.split("|")[3].strip() == "alice"


def raw(door: Path, *messages: bytes) -> bytes:
    """What comes back for messages that no client of PostgreSQL sends."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(10)
        one.connect(str(door / DOOR))
        found = b""
        with suppress(OSError):
            for message in messages:
                one.sendall(message)
            while block := one.recv(65536):
                found += block
        return found


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


STARTUP = message(b"", (3 << 16).to_bytes(4, "big") + b"user\0x\0database\0alice\0\0")


@pytest.mark.parametrize(
    "odd",
    [
        [message(b"", (80877102).to_bytes(4, "big") + bytes(8))],  # a cancellation
        [message(b"", (2 << 16).to_bytes(4, "big") + bytes(292))],
        [b"\0\0\0\1"],
        [b"\x7f\xff\xff\xff"],
        [message(b"", (3 << 16).to_bytes(4, "big") + b"client_encoding\0UTF8 -c role=x\0\0")],
        [STARTUP, message(b"P", b"\0SELECT 1\0\0\0")],  # the extended protocol
        [STARTUP, message(b"F", bytes(10))],  # a function call
        [STARTUP, message(b"p", b"password\0")],
        [STARTUP, message(b"d", b"r" + bytes(33))],  # the status of a stream that has not begun
        [STARTUP, b"Q\x7f\xff\xff\xff"],
        [STARTUP, b"Q\0\0\0\0"],
    ],
)
def test_what_no_subscription_says_ends_its_connection(door: Path, odd: list[bytes]) -> None:
    found = raw(door, *odd)
    assert not found.count(b"D\0\0\0"), "rows came"
    assert said(door, "IDENTIFY_SYSTEM").count("|") == 3, "the next one is served"


def test_no_key_to_cancel_sessions_leaves_the_server(door: Path) -> None:
    assert b"K\0\0\0\x0c" not in raw(door, STARTUP, message(b"X", b""))


def test_a_stream_takes_its_status_and_nothing_else(door: Path) -> None:
    start = (
        b"START_REPLICATION SLOT \"th_follow_7\" LOGICAL 0/0 (proto_version '1', publication_names '\"th_follow\"')\0"
    )
    status = message(b"d", b"r" + bytes(33))
    for odd in (message(b"d", b"h" + bytes(24)), message(b"Q", b"IDENTIFY_SYSTEM\0"), message(b"f", b"\0")):
        for _ in range(100):  # the stream before this one may not have let go of the slot yet
            with socket.socket(socket.AF_UNIX) as one:
                one.settimeout(20)
                one.connect(str(door / DOOR))
                one.sendall(STARTUP + message(b"Q", start))
                found = b""
                while b"W\0\0\0" not in found and b"is active for PID" not in found:
                    found += one.recv(65536)
                if b"is active for PID" in found:
                    time.sleep(0.1)
                    continue
                one.sendall(status + odd)
                while block := one.recv(65536):
                    found += block
                break
        assert b"W\0\0\0" in found and b"systemid" not in found


def test_a_subscription_follows_through_it(door: Path, server: str) -> None:
    def rows(database: str) -> list[tuple]:
        with psycopg.connect(f"{server} dbname={database}", options=OURS) as conn:
            return conn.execute("SELECT id, price::text FROM public.t ORDER BY id").fetchall()

    with psycopg.connect(f"{server} dbname=target", autocommit=True) as conn:
        made = f"CREATE SUBSCRIPTION s CONNECTION 'host={door} port=5432 user=postgres' PUBLICATION th_follow WITH"
        conn.execute(f"{made} (slot_name = 'th_follow_7', create_slot = false, copy_data = false, binary = false)")
        with psycopg.connect(f"{server} dbname=alice", autocommit=True, options=OURS) as source:
            for number in range(200):
                source.execute("INSERT INTO public.t VALUES (%s, %s::text::money)", (number, f"{number}.50"))
            source.execute("UPDATE public.t SET price = price + 1::money WHERE id % 2 = 0")
            source.execute("DELETE FROM public.t WHERE id % 5 = 0")
        until = time.monotonic() + 30
        while rows("target") != rows("alice") and time.monotonic() < until:
            time.sleep(0.05)
        assert rows("target") == rows("alice") and len(rows("target")) == 160
        conn.execute("ALTER SUBSCRIPTION s DISABLE")
        conn.execute("ALTER SUBSCRIPTION s SET (slot_name = NONE)")
        conn.execute("DROP SUBSCRIPTION s")


@pytest.mark.parametrize(
    "slot", ["", "x", "th_follow_", "th_follow_1/../2", "th_keys_1", "th_follow_1 2", "../th_follow_1"][:]
)
def test_a_stream_is_met_below_its_own_name_only(slot: str) -> None:
    with pytest.raises(Refused):
        pairing.stream_directory("m1", slot)
    longest = pairing.stream_directory("m" * 48, "th_follow_4294967295") / DOOR
    assert len(str(longest)) < 108, "the kernel takes no longer one"
