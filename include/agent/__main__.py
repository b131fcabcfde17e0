"""The agent's command line; `serve` is what the orchestrator's key reaches."""

import compileall
import fcntl
import os
import shutil
import sys
import time
import zipfile
from pathlib import Path

from . import boot, layouts, peer_verbs, protocol
from .channel import pairing
from .host import homes, operations, processes
from .host.kept import Kept
from .host.system import AGENT, CONFIG, STATE, Refused, run, write_if_changed
from .layouts import mail, php, reboot_lines
from .move import forward, hold, stores
from .stores.files import rsync
from .stores.postgresql import apply, door

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


def _stay() -> None:
    """Until this process ends, the package that it runs from stays: its parts are loaded when they are needed."""
    package = Path(__file__).parent.parent
    if package.parent.name == "unpacked":
        fcntl.flock(os.open(package, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)


def main(words: list[str]) -> int:
    os.umask(0o077)
    match words:
        case ["serve"]:
            print(protocol.answer(sys.stdin.buffer.read()), flush=True)
        case ["peer", move]:
            programs = rsync.serve_rsync, apply.serve_stream
            return pairing.serve_peer(move, peer_verbs.PEER_VERBS, *programs)
        case ["stream", move, slot]:
            door.serve(move, slot)
        case ["run", operation]:
            return protocol.run_operation(operation)
        case ["settle", account]:
            forward.settle(account)
        case ["return", account, epoch]:
            hold.return_(account, epoch=int(epoch))
        case ["boot"]:
            boot.boot()
        case ["enrol"]:
            enrol()
        case ["homes", *folders]:
            homes.make_plain(*folders[:1])
        case ["reboot-lines"]:
            reboot_lines.main()
        case ["await-app"]:
            php.await_app()
        case ["messages", uid, gid]:
            processes.become_reader(int(uid), int(gid))
            mail.main()
        case _:
            print("Usage: serve | peer MOVE | run OPERATION | settle ACCOUNT | return ACCOUNT EPOCH | boot | enrol")
            return 2
    return 0


def entry() -> None:
    """Run, and tell a refusal in one line."""
    _stay()
    try:
        with Kept():
            code = main(sys.argv[1:])
        sys.exit(code)
    except Refused as error:
        print(error.message, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    entry()
