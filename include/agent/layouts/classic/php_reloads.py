"""The host's php-fpm, told to let requests end when it reads its configuration again: others than an account's move
make it do so, and by default it cuts them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from ...host.system import run, write_if_changed
from ...host.unix_sockets import connections
from .files import OF_PHP, Files
from .reading import pools
from .reading.tree import Tree

_VERSIONS = Path("/etc/php")
_OURS = "fpm/pool.d/00-transhumance.conf"
_PATIENCE = 10.0
"""Seconds that a moment without a request is waited for."""


def let_end(files: Files) -> Iterator[str]:
    """Have every version know it. The first time it learns of it by such a reload itself, so that is done while nobody
    is in it; gives a sentence on each that never was without."""
    for pattern, content in files.items():
        for folder in sorted(_VERSIONS.glob("*/fpm/pool.d")):
            version = folder.parts[-3]
            path = OF_PHP.sub(f"/etc/php/{version}/", pattern)
            if not write_if_changed(Path(path), content):
                continue
            if (master := _master(version)) and not _reloaded(version, master):
                yield (
                    f"PHP {version} was never idle for {_PATIENCE:g} s: type systemctl reload php{version}-fpm there at"
                    " a quiet time, which cuts the requests of that moment."
                )


def take_away() -> None:
    """What it was told counts until it is started again; it cuts nobody to know it longer."""
    for path in _VERSIONS.glob(f"*/{_OURS}"):
        path.unlink()


def _master(version: str) -> int:
    """Its first process; 0 where it does not run, or none of this version is a unit of the packages'."""
    shown = run(["systemctl", "show", "--property=MainPID", "--value", f"php{version}-fpm.service"], check=False)
    text = shown.stdout.decode().strip()
    return int(text) if text.isdigit() else 0


def _reloaded(version: str, master: int) -> bool:
    """Whether there was a moment in which nobody was in it."""
    listening = [pool.listen for pool in pools.read(Tree()) if pool.version == version]
    if any(not address.startswith("/") for address in listening):
        return False  # who is in it by the network is not seen
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if not any(_in_it(address) for address in listening):
            os.kill(master, signal.SIGUSR2)
            return True
        time.sleep(0.005)
    return False


def _in_it(address: str) -> bool:
    accepted, waiting = connections(Path(address))
    return bool(accepted or waiting)
