"""A PostgreSQL for a benchmark: as durable as in production, with a production's few settings."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "work_mem": "64MB", "listen_addresses": ""}


@contextmanager
def postgres() -> Iterator[str]:
    """Start one in a temporary folder and end it; its connection string without a database name."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not folders:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql")
    binaries = max(folders, key=lambda path: int(path.parent.name))
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    if user:
        shutil.chown(folder, user, user)

    as_user: dict[str, Any] = {"user": user, "group": user, "extra_groups": ()} if user else {}

    def run(program: str, *argv: str) -> None:
        subprocess.run(
            [str(binaries / program), "-D", str(folder / "data"), *argv],
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            **as_user,
        )

    try:
        run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        settings = " ".join(f"-c {key}={value}" for key, value in SETTINGS.items())
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", f"-k {folder} {settings}", "start")
        yield f"host={folder} user=postgres"
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)
