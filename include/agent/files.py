"""An account's home directory: copied, followed while the account serves, and compared with its copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import files_follow, files_look, mail, reboot_lines
from .accounts import Account
from .digest import MOST, as_peer_verb
from .files_changes import Lost
from .files_digest import describe, differences, digest, left_behind, listed, listed_paths
from .files_rsync import require_rsync, send, serve_rsync
from .scope import Scope
from .system import refuse, run, write_durably

Report = Callable[..., None]

SCOPE = Scope(
    what="every file, folder and link below the home: content, permissions, owner, group, time, size, hard links, user"
    " attributes and ACLs",
    how="a SHA-256 of each file's content, and a line for each entry",
    when="all of it at the copy; in the hold whatever was written to since",
    without=(
        "The time of a folder's or file's last reading and its inode's number: they are a server's own.",
        "Sockets: a program makes its own when it starts.",
        "Named pipes, devices, set-user-id bits of files, attributes of the system and what chattr sets: not carried.",
        "Paths of more than 4,000 bytes from the home on: they are beyond what the system's own tools take.",
        "When a file was made, and quotas: they are a server's own.",
        "What is written meanwhile by others whom the account lets into its home: a hold stops the account's own.",
        "What is mounted below the home: it is not on the server's disk.",
    ),
)

# Why an account is not followed, by name: its last pass and comparison are whole ones then, and so is the rehearsal.
_WHOLE: dict[str, str] = {}


def follow(account: Account, peer: Any, report: Report) -> dict[str, Any]:
    """Copy what is not copied, prove both copies equal, and know from then on what changes; can be repeated.

    {"files", "bytes", "seconds", "verify_seconds", "left": [sentences]}."""
    began = time.monotonic()
    known = files_follow.current(account, peer)
    if known:
        try:
            files_follow.catch_up(known, peer)
            files_follow.save(known)
            return {
                "files": 0,
                "bytes": 0,
                "seconds": round(time.monotonic() - began, 3),
                "verify_seconds": 0.0,
                "left": known.left,
            }
        except Lost:
            report(text="files: what changed is not known, so all are copied and compared again")
    _WHOLE.pop(account.name, None)
    try:
        known, result = files_follow.begin(account, peer, report)
        files_follow.save(known)
    except Lost as lost:
        files_follow.forget(account)
        _WHOLE[account.name] = lost.message
        report(text=f"{lost.message} All files are walked inside the hold.")
        sent = send(account, peer, report)
        return {
            "files": sent["files"],
            "bytes": sent["bytes"],
            "seconds": round(time.monotonic() - began, 3),
            "verify_seconds": 0.0,
            "left": [*left_behind(account), *reboot_lines.left_behind(account)],
        }
    return result


def rehearse(account: Account, peer: Any) -> dict[str, Any]:
    """What `last` and `compare` will do, done and timed: {"seconds", "slow": [{"what", "seconds", "why"}]}."""
    if account.name in _WHOLE:
        began = time.monotonic()
        send(account, peer, lambda **_: None)
        _compare_whole(account, peer)
        seconds = round(time.monotonic() - began, 3)
        return {"seconds": seconds, "slow": [{"what": "files", "seconds": seconds, "why": _WHOLE[account.name]}]}
    known = _followed(account, peer)
    files_follow.prepare(known, peer)
    began = time.monotonic()
    files_follow.carry(known, peer, held=False)
    files_follow.prove(known)
    seconds = round(time.monotonic() - began, 3)
    slow = files_follow.slow(known, seconds)
    files_follow.prepare(known, peer)
    return {"seconds": seconds, "slow": slow}


def last(account: Account, peer: Any) -> None:
    """Inside the hold: bring over what changed since the last pass; durable on the target at return."""
    if account.name in _WHOLE:
        send(account, peer, lambda **_: None, held=True)
    else:
        files_follow.carry(_followed(account, peer), peer, held=True)


def compare(account: Account, peer: Any) -> tuple[dict[str, int], list[str]]:
    """Inside the hold: ({"files", "bytes"} of the account, what differs in sentences)."""
    if account.name in _WHOLE:
        return _compare_whole(account, peer)
    known = _followed(account, peer)
    files_follow.note(known)
    found = files_follow.prove(known)
    if found and len(found) <= files_follow.FEW:
        # Nobody writes any more: what one pass left (a directory's time, the names of a file that were parted) a
        # second one brings over, which is less than another hold.
        files_follow.carry(known, peer, held=True)
        found = files_follow.prove(known)
    different = [one.sentence for one in found.values()]
    return {"files": known.index.files, "bytes": known.index.bytes}, different[:MOST]


def messages(account: Account) -> int:
    """How many messages are in the account's mailboxes, as its files were last looked at; nothing is read."""
    known = files_follow.followed(account)
    if known:
        return mail.count(account, known.index.rest)
    return mail.count(account, listed_paths(account))


def unfollow(account: Account) -> None:
    """Source: nothing runs or is kept for the following; can be repeated."""
    _WHOLE.pop(account.name, None)
    files_follow.forget(account)


def _followed(account: Account, peer: Any) -> files_follow.Following:
    known = files_follow.current(account, peer)
    if known is None:
        refuse("not_followed", f"The files of {account.name} are not followed here; copy the account again.")
    return known


def _compare_whole(account: Account, peer: Any) -> tuple[dict[str, int], list[str]]:
    with ThreadPoolExecutor() as pool:
        one, other = pool.submit(digest, account), pool.submit(peer.call, "files_digest", {})
        mine, theirs = one.result(), other.result()
    return {"files": mine["files"], "bytes": mine["bytes"]}, differences(account, peer, mine, theirs)


# --- the target's side ---


def _asked(what: str) -> Callable[[Account, dict[str, Any], Any], dict[str, Any]]:
    """A question to the program that waits in the sandbox, as a verb."""

    def verb(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
        paths = [path.encode("utf-8", "surrogateescape") for path in args["paths"]]
        return files_look.ask(account, what, paths, writable=True)

    return verb


def _settle_all(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    """Make all that was copied durable."""
    run(["sync", "--file-system", account.home], timeout=600)
    return {}


def _listed_verb(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    return {"lines": listed(account, [int(part) for part in args["parts"]])}


def _follows(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    """Which watcher of the source this copy follows: told, or asked."""
    mark = account.directory / "files.follows"
    if "token" in args:
        write_durably(mark, str(args["token"]))
    return {"token": mark.read_text() if mark.exists() else None}


PEER_VERBS = {
    "files_digest": as_peer_verb(digest),
    "files_follows": _follows,
    "files_listed": _listed_verb,
    "files_look": _asked("lines"),
    "files_remove": _asked("remove"),
    "files_settle": _asked("settle"),
    "files_settle_all": _settle_all,
}


def finish(account: Account) -> None:
    """Target, at the release: the copy is the account now and follows nothing."""
    files_look.end(account)
    (account.directory / "files.follows").unlink(missing_ok=True)


def discard(account: Account) -> None:
    """Forget what is known of the home's contents; the home itself goes with the Unix user."""
    unfollow(account)
    finish(account)
    for name in ("files.hashes", "files.listing", "files.json"):
        Path(account.directory / name).unlink(missing_ok=True)


__all__ = [
    "PEER_VERBS",
    "SCOPE",
    "compare",
    "describe",
    "differences",
    "digest",
    "discard",
    "finish",
    "follow",
    "last",
    "messages",
    "rehearse",
    "require_rsync",
    "send",
    "serve_rsync",
    "unfollow",
]
