"""The host's php-fpm, told to let requests end when it reads its configuration again: others than an account's move
make it do so, and by default it cuts them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...host.system import CONFIG, run, write_if_changed
from ...host.unix_sockets import connections
from .files import OF_PHP, Files
from .front import FRONT
from .reading import pools
from .reading.tree import Tree

_VERSIONS = Path("/etc/php")
_OURS = "fpm/pool.d/00-transhumance.conf"
_PAUSED_MAP = CONFIG / "front" / "paused.map"
_PAUSE, _ON_THE_WAY, _TRIES = 0.6, 0.03, 10
"""Seconds that visitors may wait at a time, and that a request needs from the front to PHP."""


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
                    f"PHP {version} was never idle: type systemctl reload php{version}-fpm there at"
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
    """Whether there was a moment in which nobody was in it. Where there is none by itself, the front makes one."""
    listening = [pool.listen for pool in pools.read(Tree()) if pool.version == version]
    if any(not address.startswith("/") for address in listening):
        return False  # who is in it by the network is not seen
    for _ in range(_TRIES):
        with _paused():
            end = time.monotonic() + _PAUSE
            while time.monotonic() < end:
                # Who was let in just before is on the way for a moment.
                time.sleep(_ON_THE_WAY)
                if not any(_in_it(address) for address in listening):
                    os.kill(master, signal.SIGUSR2)
                    time.sleep(_ON_THE_WAY)
                    return True
        time.sleep(_PAUSE)
    return False


@contextmanager
def _paused() -> Iterator[None]:
    """Requests wait at the front, which ends that by itself after a second."""
    FRONT.command(f"add map {_PAUSED_MAP} all yes")
    try:
        yield
    finally:
        FRONT.command(f"del map {_PAUSED_MAP} all")


def _in_it(address: str) -> bool:
    accepted, waiting = connections(Path(address))
    return bool(accepted or waiting)
