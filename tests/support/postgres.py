"""A PostgreSQL of the tests' own: Debian's binaries, a temporary directory, a unix socket, no durability."""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

_MEMORY = Path("/dev/shm")  # a database a test is written several times faster than on a disk

_PREFIX, _OWNED = "registry-", "owned"


def binaries() -> Path | None:
    """The newest server's directory of binaries; None when no server is installed."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


@contextmanager
def cluster(*more: str) -> Iterator[str]:
    """Start a cluster with `more` settings; its connection string without a database name. PostgreSQL refuses to run
    as root: then it runs as the user postgres."""
    programs = binaries()
    assert programs is not None, "PostgreSQL is not installed: apt-get install postgresql"
    where = _MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())
    _sweep(where)
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
    owned = (directory / _OWNED).open("w")
    fcntl.flock(owned, fcntl.LOCK_EX)
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(directory, user, user)
    data = directory / "data"
    how: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": "/"}
    encoding = ("--encoding=UTF8", "--locale=C.UTF-8")
    how |= {"user": user, "group": user, "extra_groups": ()} if user else {}
    server = None
    try:
        subprocess.run(
            [programs / "initdb", "--pgdata", data, "--username=postgres", "--auth=trust", "--no-sync", *encoding],
            check=True,
            **how,
        )
        settings = ["listen_addresses=", f"unix_socket_directories={directory}", "max_connections=120"]
        settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB"]
        settings += ["max_wal_size=64MB", "min_wal_size=32MB", *more]
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *(word for each in settings for word in ("-c", each))],
            stderr=(directory / "log").open("wb"),
            **how,
        )
        dsn = f"host={directory} user=postgres"
        _wait_until_up(dsn, server, directory / "log")
        yield dsn
    finally:
        if server is not None:
            server.send_signal(signal.SIGQUIT)  # immediate shutdown: nothing of it is kept
            server.wait(30)
        shutil.rmtree(directory)
        owned.close()


def _sweep(where: Path) -> None:
    """Tests that were killed left their cluster running, in memory: one whose file nobody has locked goes."""
    for owned in where.glob(f"{_PREFIX}*/{_OWNED}"):
        with suppress(OSError), owned.open() as file:  # locked, gone by now, or another user's
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int((owned.parent / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
            shutil.rmtree(owned.parent, ignore_errors=True)


def _wait_until_up(dsn: str, server: subprocess.Popen, log: Path, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(f"{dsn} dbname=postgres").close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')}") from None
            time.sleep(0.05)


def url(dsn: str, scheme: str = "postgresql") -> str:
    """The same connection as a URL, which Airflow wants."""
    part = dict(word.split("=") for word in dsn.split())
    return f"{scheme}://{part['user']}@/{part['dbname']}?host={part['host']}"


def create(server: str, name: str, template: str = "template0") -> str:
    """Make a database of the cluster `server` from another one; its connection string."""
    with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return f"{server} dbname={name}"


@contextmanager
def database(server: str, name: str, template: str) -> Iterator[str]:
    """A database for as long as the block lasts: the hundreds of a run would fill the memory that they are kept in."""
    try:
        yield create(server, name, template)
    finally:
        with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as conn:
            conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
