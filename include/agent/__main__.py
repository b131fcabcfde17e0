"""The agent's command line; `serve` is what the orchestrator's key reaches.

Each command loads what it needs and nothing else: a server runs some of them many times a second, and to load all of
the agent takes longer than most of them do.
"""

import fcntl
import os
import sys
from pathlib import Path
from typing import NoReturn

from .account.accounts import Account
from .host.kept import Kept
from .host.system import Refused
from .verbs.verb import Answers


def _stay() -> None:
    """Until this process ends, the package that it runs from stays: its parts are loaded when they are needed."""
    package = Path(__file__).parent.parent
    if package.parent.name == "unpacked":
        fcntl.flock(os.open(package, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)


def main(words: list[str]) -> int:
    os.umask(0o077)
    match words:
        case ["serve"]:
            from . import protocol

            print(protocol.answer(sys.stdin.buffer.read()), flush=True)
        case ["peer", move]:
            from .channel import pairing

            return pairing.serve_peer(move, _peer_verbs, _rsync, _stream)
        case ["stream", move, slot]:
            from .stores.postgresql import door

            door.serve(move, slot)
        case ["run", operation]:
            from . import protocol

            return protocol.run_operation(operation)
        case ["settle", account]:
            from .move import forward

            forward.settle(account)
        case ["return", account, epoch]:
            from .move import hold

            hold.return_(account, epoch=int(epoch))
        case ["boot"]:
            from . import boot

            boot.boot()
        case ["enrol"]:
            from . import installation

            installation.enrol()
        case ["certificates"]:
            from . import layouts

            layouts.copy_certificates()
        case ["homes", *folders]:
            from .host import homes

            homes.make_plain(*folders[:1])
        case ["reboot-lines"]:
            from .layouts import reboot_lines

            reboot_lines.main()
        case ["await-app"]:
            from .layouts import app_program

            app_program.await_it()
        case ["messages", uid, gid]:
            from .host import processes
            from .layouts import mail

            processes.become_reader(int(uid), int(gid))
            mail.main()
        case _:
            print("Usage: serve | peer MOVE | run OPERATION | settle ACCOUNT | return ACCOUNT EPOCH | boot | enrol")
            return 2
    return 0


def _peer_verbs() -> Answers:
    from . import peer_verbs

    return peer_verbs.PEER_VERBS


def _rsync(account: Account, words: list[str]) -> NoReturn:
    from .stores.files import rsync

    rsync.serve_rsync(account, words)


def _stream(directory: Path) -> int:
    from .stores.postgresql import apply

    return apply.serve_stream(directory)


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
