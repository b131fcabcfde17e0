"""What an installation of the agent makes of a server: ready for it, and its package unpacked."""

import compileall
import fcntl
import os
import shutil
import sys
import time
import zipfile
from pathlib import Path

from . import layouts
from .host import operations
from .host.system import AGENT, CONFIG, STATE, Refused, run, write_if_changed
from .move import stores
from .stores.files import rsync

_KEPT_SECONDS = 86400
"""How long a package stays after it was replaced: one that began with it may be about to load more of it."""
_SERVICES = (*layouts.SERVICES, *(engine.service for engine in stores.ENGINES))
_BOOT_UNIT = f"""[Unit]
Description=Return held accounts and open serving ones after a boot
After=network-online.target {" ".join(f"{service}.service" for service in _SERVICES)}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 {AGENT} boot
# A database may not be up yet.
Restart=on-failure
RestartSec=2

[Install]
WantedBy=multi-user.target
"""


def enrol() -> None:
    """Make this server ready for the agent; refused where its rsync is too old, or where somebody has names of the
    agent's. Can be repeated."""
    rsync.require_rsync()
    os.makedirs(STATE, mode=0o700, exist_ok=True)
    for directory in (CONFIG / "accounts", STATE / "accounts", STATE / "operations", STATE / "pairs"):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if write_if_changed(Path("/etc/systemd/system/transhumance-boot.service"), _BOOT_UNIT):
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "enable", "--quiet", "transhumance-boot.service"])
    for engine in stores.ENGINES:
        try:
            if engine.socket.exists():
                engine.enrol()
        except Refused as error:
            if error.code == "name_taken":
                raise
            # It does not answer just now: that is no reason to have no agent here, and this is done again each time.
            print(error.message, file=sys.stderr)
    operations.forget_old()
    _unpack(Path(sys.argv[0]))


def _unpack(packed: Path) -> None:
    """Put the package of this zipapp where its start looks for it, compiled; drop those that were replaced long ago,
    unless something still runs from them."""
    if not zipfile.is_zipfile(packed):
        return
    with zipfile.ZipFile(packed) as archive:
        target = AGENT.parent / "unpacked" / archive.read("BUILD").decode()
        if not target.is_dir():
            fresh = target.with_name(f"{target.name}.{os.getpid()}")
            os.umask(0o022)
            archive.extractall(fresh)
            compileall.compile_dir(fresh, quiet=1, ddir=str(target))
            fresh.rename(target)
            for other in _others(target):
                # Replaced only now, however long ago it came.
                os.utime(other)
    for other in _others(target):
        if time.time() - other.stat().st_mtime > _KEPT_SECONDS and not _in_use(other):
            shutil.rmtree(other)


def _others(package: Path) -> list[Path]:
    return [other for other in package.parent.iterdir() if other != package]


def _in_use(package: Path) -> bool:
    """Whether an agent that runs has this package open (`_stay`)."""
    descriptor = os.open(package, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
