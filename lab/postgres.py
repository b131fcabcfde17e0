"""The lab's own PostgreSQL: the databases of the registry and of Airflow, on a Unix socket only.

Whoever may enter the directory (root and postgres) is trusted; nobody else gets at the socket.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from lab.say import LabError
from lab.state import LOGS, STATE, alive, all_pids, await_end, record, run, spawn, stat_of, tree

HOME = STATE / "postgresql"
DATA = HOME / "data"
DATABASES = ("registry", "airflow")
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": str(HOME),
    "unix_socket_permissions": "0777",
    "max_connections": "200",
}
POSTGRES = {"user": "postgres", "group": "postgres", "extra_groups": ["postgres"]}


def url(database: str, driver: str = "postgresql+psycopg") -> str:
    """How SQLAlchemy and Airflow reach one of the databases; its owner has its name."""
    return f"{driver}://{database}@/{database}?host={HOME}"


def dsn(database: str, user: str | None = None) -> str:
    """How psycopg reaches one of the databases, as its owner unless told."""
    return f"host={HOME} dbname={database} user={user or database}"


def binaries() -> Path:
    """The newest PostgreSQL that Debian has installed on this machine."""
    servers = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    if not servers:
        raise LabError("PostgreSQL is not installed: run lab/install-packages (make setup does).")
    return servers[-1].parent


def up() -> None:
    """Make the instance if it is not there, start it, and make its databases."""
    programs = binaries()
    if not (DATA / "made").exists():
        run(["rm", "-rf", "--one-file-system", "--", str(HOME)])
        run(["install", "-d", "-m", "0700", "-o", "postgres", "-g", "postgres", str(HOME)])
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username=postgres"]
        run([str(programs / "initdb"), *options, "-D", str(DATA)], cwd=HOME, **POSTGRES)
        (DATA / "made").touch()
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    # SIGINT is PostgreSQL's "fast" shutdown: it does not wait for clients to leave
    more: dict[str, Any] = {"stop_signal": signal.SIGINT, **POSTGRES}
    server = [str(programs / "postgres"), "-D", str(DATA), *settings]
    if not alive("postgresql") and not adopt():
        spawn("postgresql", server, cwd=HOME, **more)
    until = time.monotonic() + 60
    while not ready():
        if time.monotonic() > until or not alive("postgresql"):
            raise LabError(f"The lab's PostgreSQL does not start: see {LOGS / 'postgresql.log'}.")
        time.sleep(0.05)
    for name in DATABASES:
        if not psql("postgres", f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'"):
            psql("postgres", f"CREATE ROLE {name} LOGIN")
        if not psql("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
            psql("postgres", f"CREATE DATABASE {name} OWNER {name}")


def adopt() -> bool:
    """Record a postmaster that runs on our data though nothing was written down (a crash between the two)."""
    try:
        pid = int((DATA / "postmaster.pid").read_text().split()[0])
        ours = Path(f"/proc/{pid}/cwd").resolve() == DATA
    except (OSError, ValueError, IndexError):
        return False
    if ours and stat_of(pid):
        record("postgresql", pid, signal.SIGINT)
    return ours and alive("postgresql")


def down() -> None:
    """End what of the instance nothing was written down of: an initdb, a server of an `up` that was cut off."""
    if not HOME.is_dir():
        return
    owner = HOME.stat().st_uid
    pids = []
    for pid in all_pids():
        try:
            here = Path(os.readlink(f"/proc/{pid}/cwd"))
            if owner != 0 and os.stat(f"/proc/{pid}").st_uid == owner and here.is_relative_to(HOME):
                pids.append(pid)
        except OSError:
            continue  # it ended meanwhile
    await_end(tree(pids), patience=0)


def ready() -> bool:
    """Whether it answers."""
    asked = subprocess.run([str(binaries() / "pg_isready"), "-q", "-h", str(HOME)], stdin=subprocess.DEVNULL)
    return asked.returncode == 0


def psql(database: str, statement: str) -> str:
    """Run one statement of the lab's own (never a customer's) and return what it prints."""
    options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(HOME), "-U", "postgres"]
    return run([str(binaries() / "psql"), *options, "-d", database, "-c", statement]).strip()
