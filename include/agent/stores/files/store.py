"""An account's home directory: copied, followed while the account serves, and compared with its copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ...account.accounts import Account
from ...channel.pairing import PeerVerb
from ...channel.peer import Peer
from ...host.digest import as_peer_verb
from ...host.kept import Threads
from ...host.scope import Scope
from ...host.system import run, write_durably
from ...layouts import mail, reboot_lines
from ..store import Compared, Followed, Following, Rehearsal, Report, Slow, Store
from . import follow as files_follow
from . import look
from .changes import Lost
from .digest import describe, differences, digest, left_behind, listed, listed_paths
from .rsync import send

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


class Walked(Following):
    """A home of which nothing tells what changes: each pass and comparison walks all of it."""

    def __init__(self, store: Store, account: Account, peer: Peer, followed: Followed, why: str) -> None:
        super().__init__(store, account, peer, followed)
        self.why = why

    def rehearse(self) -> Rehearsal:
        began = time.monotonic()
        send(self.account, self.peer, lambda **_: None)
        self.compare()
        seconds = round(time.monotonic() - began, 3)
        return Rehearsal(seconds, (Slow("files", seconds, self.why),))

    def final_pass(self) -> None:
        send(self.account, self.peer, lambda **_: None, held=True)

    def compare(self) -> Compared:
        with Threads() as pool:
            one, other = pool.submit(digest, self.account), pool.submit(self.peer.call, "files_digest", {})
            mine, theirs = one.result(), other.result()
        different = differences(self.account, self.peer, mine, theirs)
        return Compared(files=mine["files"], bytes=mine["bytes"], different=tuple(different))

    def counted_later(self) -> dict[str, int]:
        return {"messages": FILES.messages(self.account)}


# --- the target's side ---


def _asked(what: str) -> Callable[[Account, dict[str, Any], Any], dict[str, Any]]:
    """A question to the program that waits in the sandbox, as a verb."""

    def verb(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
        paths = [path.encode("utf-8", "surrogateescape") for path in args["paths"]]
        return look.ask(account, what, paths, writable=True)

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


_PEER_VERBS: dict[str, PeerVerb] = {
    "files_digest": as_peer_verb(digest),
    "files_follows": _follows,
    "files_listed": _listed_verb,
    "files_look": _asked("lines"),
    "files_remove": _asked("remove"),
    "files_settle": _asked("settle"),
    "files_settle_all": _settle_all,
}


# --- the store ---


class Files(Store):
    """The home directories."""

    name, digest_verb, scope = "files", "files_digest", SCOPE
    peer_verbs = _PEER_VERBS

    def describe(self, account: Account) -> dict[str, int]:
        """{"home_bytes", "files"} as the last digest found them (0 before the first)."""
        return describe(account)

    def digest(self, account: Account) -> dict[str, Any]:
        return digest(account)

    def differences(self, account: Account, peer: Peer, mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
        return differences(account, peer, mine, theirs)

    def follow(self, account: Account, peer: Peer, report: Report) -> Following:
        began = time.monotonic()
        if known := files_follow.resume(self, account, peer):
            try:
                files_follow.catch_up(known)
                files_follow.save(known)
                seconds = round(time.monotonic() - began, 3)
                known.followed = Followed(seconds=seconds, left=known.followed.left)
                return known
            except Lost:
                known.line.close()
                report(text="files: what changed is not known, so all are copied and compared again")
        try:
            known = files_follow.begin(self, account, peer, report)
            files_follow.save(known)
            return known
        except Lost as lost:
            files_follow.forget(account)
            report(text=f"{lost.message} All files are walked inside the hold.")
            sent = send(account, peer, report)
            seconds = round(time.monotonic() - began, 3)
            left = (*left_behind(account), *reboot_lines.left_behind(account))
            return Walked(self, account, peer, Followed(sent["files"], sent["bytes"], seconds, left=left), lost.message)

    def messages(self, account: Account) -> int:
        """How many messages were in the account's mailboxes when all of its files were last walked; nothing is read."""
        return mail.count(account, listed_paths(account))

    def unfollow(self, account: Account) -> None:
        files_follow.forget(account)

    def finish(self, account: Account) -> None:
        look.end(account)
        (account.directory / "files.follows").unlink(missing_ok=True)

    def discard(self, account: Account) -> None:
        """Forget what is known of the home's contents; the home itself goes with the Unix user."""
        self.unfollow(account)
        self.finish(account)
        for name in ("files.hashes", "files.listing", "files.json"):
            (account.directory / name).unlink(missing_ok=True)


FILES = Files()
