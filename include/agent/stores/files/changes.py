"""What changed in a tree while the account served: the watcher (`files_watch`) as the agent starts and asks it."""

from __future__ import annotations

import json
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from ...host import processes
from ...host.sandbox import python_argv
from ...host.system import RUNTIME, Refused, run
from . import watch
from .trees import Tree

_SOCKETS = RUNTIME / "watch"
# The first answer comes when every directory is watched.
_PATIENCE, _FIRST_PATIENCE = 10.0, 600.0


class Lost(Refused):
    """It is not known what changed: only another whole comparison can tell."""

    def __init__(self, why: str) -> None:
        super().__init__("changes_unknown", f"It is not known which files changed: {why}.")


@dataclass(frozen=True)
class Changes:
    """Every path with an event after the one that was asked for, and the number of the last event."""

    token: str
    number: int
    paths: dict[bytes, int]


def unit_of(tree: Tree) -> str:
    return f"transhumance-watch-{tree.name}.service"


def start(tree: Tree) -> Changes:
    """A fresh watcher of the tree, every directory watched at return; raises Lost where that cannot be."""
    stop(tree)
    _SOCKETS.mkdir(mode=0o700, parents=True, exist_ok=True)
    argv = python_argv(watch.__name__, tree.home, str(_socket(tree)), secrets.token_hex(8))
    unit = ["systemd-run", "--quiet", "--collect", f"--unit={unit_of(tree)}", "--property=Restart=no"]
    run([*unit, *argv])
    end = time.monotonic() + 10
    while not _socket(tree).exists() and time.monotonic() < end:
        time.sleep(0.01)
    return since(tree, 0, patience=_FIRST_PATIENCE)


def since(tree: Tree, number: int, *, forget: int | None = None, patience: float = _PATIENCE) -> Changes:
    """What changed after the event of this number, up to this call; raises Lost where that is not known.

    `forget`: what changed up to that event will never be asked for again."""
    question = json.dumps({"since": number, "forget": forget}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(patience)
            line.connect(str(_socket(tree)))
            line.sendall(question)
            with line.makefile("rb") as stream:
                head = json.loads(stream.readline())
                content = stream.read(head["length"])
    except (OSError, ValueError):
        raise Lost("its watcher does not answer") from None
    if head["lost"]:
        raise Lost(head["lost"])
    if len(content) != head["length"]:
        raise Lost("its watcher broke off")
    rows = content.split(b"\0") if content else []
    return Changes(head["token"], head["number"], {row[1:]: int(row[:1]) for row in rows})


def stop(tree: Tree) -> None:
    """No watcher of this tree is left."""
    run(["systemctl", "stop", unit_of(tree)], check=False)
    _socket(tree).unlink(missing_ok=True)


def mapped(tree: Tree) -> set[bytes]:
    """The files that processes of its user have mapped and may write to without any event.

    On most file systems the last close tells of such writes, on an overlay nothing does."""
    relative, paths = tree.relative, set()
    for process in processes.of_user(tree.uid):
        try:
            with open(f"/proc/{process}/maps", "rb") as maps:
                rows = [line.rstrip(b"\n").split(None, 5) for line in maps]
        except OSError:
            continue  # ended: its files were closed
        for row in rows:
            if len(row) == 6 and row[1].endswith(b"s") and (path := relative(row[5])) is not None:
                paths.add(path.replace(b"\\012", b"\n"))
    return paths


def _socket(tree: Tree) -> Path:
    return _SOCKETS / tree.name
