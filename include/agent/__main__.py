"""The agent's command line; `serve` is what the orchestrator's key reaches."""

import compileall
import json
import os
import shutil
import sys
import time
import zipfile
from pathlib import Path

from . import fence, files, mail, operations, pairing, protocol, reboot_lines, switch
from .system import AGENT, CONFIG, STATE, Refused, run, write_if_changed

_BOOT_UNIT = f"""[Unit]
Description=Return held accounts and open serving ones after a boot
After=network-online.target postgresql.service mariadb.service haproxy.service nginx.service postfix.service
After=dovecot.service cron.service

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
    """Make this server ready for the agent; refused where its rsync is too old. Can be repeated."""
    files.require_rsync()
    os.makedirs(STATE, mode=0o700, exist_ok=True)
    for directory in (CONFIG / "accounts", STATE / "accounts", STATE / "operations", STATE / "pairs"):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if write_if_changed(Path("/etc/systemd/system/transhumance-boot.service"), _BOOT_UNIT):
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "enable", "--quiet", "transhumance-boot.service"])
    operations.forget_old()
    _unpack(Path(sys.argv[0]))


def _unpack(packed: Path) -> None:
    """Put the package of this zipapp where its start looks for it, compiled; drop those that were replaced long ago."""
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
    for other in target.parent.iterdir():
        # A long verb of the agent before may still run from its own.
        if other != target and time.time() - other.stat().st_mtime > 86400:
            shutil.rmtree(other)


def main(words: list[str]) -> int:
    os.umask(0o077)
    match words:
        case ["serve"]:
            print(json.dumps(protocol.answer(sys.stdin.buffer.read())))
        case ["peer", move]:
            return pairing.serve_peer(move, switch.PEER_VERBS, switch.ALWAYS, files.serve_rsync)
        case ["run", operation]:
            return operations.run_operation(operation, protocol.LONG_VERBS)
        case ["settle", account]:
            fence.settle(account)
        case ["return", account, epoch]:
            fence.return_(account, epoch=int(epoch))
        case ["boot"]:
            fence.boot()
        case ["enrol"]:
            enrol()
        case ["reboot-lines"]:
            reboot_lines.main()
        case ["messages"]:
            print(json.dumps(mail.read_messages(json.load(sys.stdin))))
        case _:
            print("Usage: serve | peer MOVE | run OPERATION | settle ACCOUNT | return ACCOUNT EPOCH | boot | enrol")
            return 2
    return 0


def entry() -> None:
    """Run, and tell a refusal in one line."""
    try:
        sys.exit(main(sys.argv[1:]))
    except Refused as error:
        print(error.message, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    entry()
