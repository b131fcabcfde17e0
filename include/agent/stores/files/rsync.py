"""rsync from one server to the other, both ends in the sandbox: all of a tree, or some paths of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from ...account.accounts import Account
from ...host import homes, sandbox
from ...host.digest import printable
from ...host.needs import RSYNC, release, short_of
from ...host.system import refuse, run
from ...verbs import peers as verbs
from . import mounted, trees, walk
from .trees import Tree

Report = Callable[..., None]

# Nanoseconds count (--modify-window=-1): rsync by itself takes two changes within one second for none.
# Only user attributes travel besides ACLs; -D is off; what is executable with someone else's rights is not.
_OPTIONS = [
    "-aAXS",
    "--no-D",
    "--chmod=Fug-s,Du-s",
    "--modify-window=-1",
    "--filter=-x! user.*",
]
# What the other end is told for each of the copies below, word by word; it takes nothing else. rsync's own command is
# not passed on: with one letter more (secluded arguments) it would take further words, unseen, as root.
_WHOLE_SERVER_OPTIONS = ("--delete", "--stats", "-@-1", "--ignore-errors")
_SERVER_OPTIONS = {
    "whole": ("-lHogtpAXrSe.iLsfxCIvu", *_WHOLE_SERVER_OPTIONS),
    "whole by content": ("-lHogtpAXrcSe.iLsfxCIvu", *_WHOLE_SERVER_OPTIONS),
    "listed": ("-lWHogtpAXRSe.LsfxCIvu", "-@-1"),
    "listed again": ("-lWHogtpAXIRSe.LsfxCIvu", "-@-1"),
    "listed in parts": ("-lHogtpAXRSe.LsfxCIvu", "-@-1", "--inplace"),
    "listed in parts again": ("-lHogtpAXIRSe.LsfxCIvu", "-@-1", "--inplace"),
}
# Links and names of one file are kept in a home; of messages links go another way (`send_links`), and two names are two
# files, since each folder is a mount of its own in the sandbox.
_OF_HOMES, _OF_MESSAGES = ("--hard-links",), ("--no-links",)
# 24: files vanished while they were read, which is usual before the hold and shows in the comparison inside it.
_FINE = (0, 24)
# What lies deeper than rsync reaches is left behind; the walks of both sides leave it out, and tell it.
_TOO_LONG = re.compile(r"overflows max-path len|path too long|File name too long|filename too long", re.IGNORECASE)
# 23 says that something could not be copied. While an account serves, a directory may become a link under rsync's eyes.
_RACED = re.compile(
    r"Too many levels of symbolic links|No such file or directory|Not a directory|Is a directory|vanished"
    r"|failed verification|could not make way|cannot delete non-empty|Directory not empty"
    r"|refusing to follow a symlink|Invalid packet at end of run"
)


def _server_options(kind: str, messages: bool) -> tuple[str, ...]:
    letters, *words = _SERVER_OPTIONS[kind]
    return (re.sub("^-l(W?)H", r"-\1", letters) if messages else letters, *words)


def send(tree: Tree, peer: Any, report: Report, *, held: bool = False, checksum: bool = False) -> dict[str, Any]:
    """Copy the tree to the peer; what is there already is not sent again.

    `held`: inside the hold, so a file that vanishes is an error, and the copy is durable on the target at return.
    `checksum`: compare contents and not just size and time, for a file whose times somebody has forged.
    Returns {"files": regular files sent, "bytes": bytes sent, "seconds"}; raises Refused."""
    began = time.monotonic()
    # A file that could not be read does not keep what was deleted: the comparison has the last word.
    options = ["--delete", "--ignore-errors", "--stats", *(["--checksum"] if checksum else [])]
    # Before, so that the folders' times come after; and once more, for those in folders that were not there yet.
    led = links(tree) if tree.messages else {}
    if led:
        peer.call(verbs.FilesLinks(links=led))
    done = _client(tree, peer, options, "whole by content" if checksum else "whole").finish()
    _judge(tree, done, held=held)
    if led:
        peer.call(verbs.FilesLinks(links=led))
    if held:
        peer.call(verbs.FilesSettleAll(messages=tree.messages))
    sent, size = (
        _stat(done.stdout, "Number of regular files transferred"),
        _stat(done.stdout, "Total bytes sent"),
    )
    report(done_bytes=size, text=f"files: {sent} sent")
    return {"files": sent, "bytes": size, "seconds": round(time.monotonic() - began, 3)}


class Listed:
    """An rsync that is connected and waits for the list of what it is to copy.

    It copies the named entries and their parent directories as they are, and nothing below a directory.
    `again`: also files whose size and time are those of the copy. `parts`: of a file that is there only what changed,
    which pays for large files and costs a small one more than sending it."""

    def __init__(self, tree: Tree, peer: Any, *, again: bool = False, parts: bool = False) -> None:
        self.tree, self.began = tree, time.monotonic()
        options = ["--files-from=-", "--from0", *(["--ignore-times"] if again else [])]
        options += ["--inplace"] if parts else ["--whole-file"]
        kind = "listed" + (" in parts" if parts else "") + (" again" if again else "")
        self.client = _client(tree, peer, options, kind)

    @property
    def waits(self) -> bool:
        return self.client.process.poll() is None

    def copy(self, paths: Iterable[bytes], *, held: bool) -> str:
        """Copy these, and end. Before the hold what could not be copied is left to the comparison; the reason."""
        done = self.client.finish(b"".join(b"./%s\0" % path for path in sorted(paths)))
        if held:
            _judge(self.tree, done, held=True)
        return _error_text(done)

    def abandon(self) -> None:
        self.client.abandon()


def _client(tree: Tree, peer: Any, options: list[str], kind: str) -> sandbox.Client:
    mounted.require_none(tree)
    root = tree.root.rstrip("/") + "/"
    which = _OF_MESSAGES if tree.messages else _OF_HOMES
    argv = ["/usr/bin/rsync", *_OPTIONS, *which, *options, *sandbox.relay_shell(), root, f"peer:{root}"]
    command = shlex.join(["rsync", "--server", *_server_options(kind, tree.messages), ".", root])
    return sandbox.Client(tree.home, argv, [*peer.ssh_argv(), command])


def links(tree: Tree) -> dict[str, str]:
    """Where each link among messages leads that is carried."""
    leads: dict[str, str] = json.loads(sandbox.call(tree.home, walk.__name__, request={}))["links"]
    return leads


def _judge(tree: Tree, done: subprocess.CompletedProcess[str], *, held: bool) -> None:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if not line.startswith("rsync error:") and not _TOO_LONG.search(line)]
    if done.returncode == 23 and not errors and len(lines) > 1:
        return
    raced = done.returncode in (2, 23) and all(_RACED.search(line) for line in errors)
    if done.returncode and (held or (done.returncode not in _FINE and not raced)):
        refuse(
            "files_not_copied",
            f"rsync ended with {done.returncode} while it copied {tree.shown}: "
            f"{_error_text(done) or 'it said nothing'}",
        )


def _error_text(done: subprocess.CompletedProcess[str]) -> str:
    """The first of what it said, and what is usual while files change only where there is nothing else."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    shown = [line for line in lines if not _RACED.search(line)] or lines
    return " | ".join(printable(line) for line in shown[:5])[:600]


def _stat(text: str, name: str) -> int:
    match = re.search(rf"^{name}: ([\d,.]+)", text, re.MULTILINE)
    return int(re.sub(r"\D", "", match[1])) if match else 0


def serve_rsync(account: Account, argv: list[str]) -> NoReturn:
    """Become the receiving end of the source's rsync, in the sandbox of the account's home. Never returns.

    Whatever path the source names, the account's home is written, or its folders of messages."""
    if argv[:2] != ["rsync", "--server"] or len(argv) < 4 or argv[-2] != ".":
        refuse("rsync_refused", "Only the receiving end of a copy can be started here.")
    options = argv[2:-2]
    tree = trees.chosen(account, messages=argv[-1] == f"{sandbox.MESSAGES}/")
    if tuple(options) not in [_server_options(kind, tree.messages) for kind in _SERVER_OPTIONS]:
        shown = printable(" ".join(options))[:200]
        refuse("rsync_refused", f"The rsync options {shown} are none of those that a move uses; update both agents.")
    for folder in tree.folders:
        homes.keep_plain(folder)
    mounted.require_none(tree)
    sandbox.enter(tree.home, writable=True)
    root = tree.root.rstrip("/") + "/"
    os.execve(
        "/usr/bin/rsync",
        ["rsync", "--server", *options, "--chmod=Fug-s,Du-s", ".", root],
        {"PATH": "/usr/bin", "LC_ALL": "C"},
    )


def require_rsync() -> None:
    """Refuse a server whose rsync follows customers' links as root."""
    words = run(["rsync", "--version"]).stdout.decode(errors="replace").split()
    version = words[2] if len(words) > 2 else "of no known version"
    if short_of(RSYNC, version):
        refuse("rsync_too_old", f"rsync here is {printable(version)[:40]}; install {release(RSYNC)} or later.")
