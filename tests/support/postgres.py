"""A PostgreSQL of the tests' own: Debian's binaries, a temporary directory, a unix socket, no durability."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

_MEMORY = Path("/dev/shm")  # a database a test is written several times faster than on a disk


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
    directory = Path(tempfile.mkdtemp(prefix="registry-", dir=_MEMORY if _MEMORY.is_dir() else None))
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
        settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB", *more]
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
            server.send_signal(3)  # immediate shutdown: nothing of it is kept
            server.wait(30)
        shutil.rmtree(directory)


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
