"""An account's home directory: copied, followed while the account serves, and compared with its copy."""

from __future__ import annotations

import time
from typing import Any

from ...account.accounts import Account
from ...channel.peer import Peer
from ...host.kept import Threads
from ...host.scope import Scope
from ...host.system import run, write_durably
from ...layouts import mail, reboot_lines
from ...verbs import peers as verbs
from ...verbs.verb import Asking, Nothing
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
            here, away = pool.submit(digest, self.account), pool.submit(self.peer.call, verbs.FilesDigest())
            mine, theirs = here.result(), away.result()
        different = differences(self.account, self.peer, mine, theirs)
        return Compared(files=mine["files"], bytes=mine["bytes"], different=tuple(different))

    def messages(self) -> int:
        return FILES.messages(self.account)


# --- the target's side ---


def _ask(account: Account, question: str, paths: list[str]) -> dict[str, Any]:
    """A question to the program that waits in the sandbox."""
    return look.ask(account, question, [path.encode("utf-8", "surrogateescape") for path in paths], writable=True)


def _look(account: Account, want: verbs.FilesLook, _asking: Asking) -> dict[str, Any]:
    return _ask(account, "lines", want.paths)


def _remove(account: Account, want: verbs.FilesRemove, _asking: Asking) -> Nothing:
    _ask(account, "remove", want.paths)
    return Nothing()


def _settle(account: Account, want: verbs.FilesSettle, _asking: Asking) -> Nothing:
    _ask(account, "settle", want.paths)
    return Nothing()


def _settle_all(account: Account, _want: verbs.FilesSettleAll, _asking: Asking) -> Nothing:
    """Make all that was copied durable."""
    run(["sync", "--file-system", account.home], timeout=600)
    return Nothing()


def _listed(account: Account, want: verbs.FilesListed, _asking: Asking) -> verbs.Lines:
    return verbs.Lines(lines=listed(account, want.parts))


def _follows(account: Account, want: verbs.FilesFollows, _asking: Asking) -> verbs.Follows:
    """Which watcher of the source this copy follows: told, or asked."""
    mark = account.directory / "files.follows"
    if want.token is not None:
        write_durably(mark, want.token)
    return verbs.Follows(token=mark.read_text() if mark.exists() else None)


_PEER_VERBS = (
    verbs.FilesDigest.told_by(digest),
    verbs.FilesFollows.served_by(_follows),
    verbs.FilesListed.served_by(_listed),
    verbs.FilesLook.served_by(_look),
    verbs.FilesRemove.served_by(_remove),
    verbs.FilesSettle.served_by(_settle),
    verbs.FilesSettleAll.served_by(_settle_all),
)


# --- the store ---


class Files(Store):
    """The home directories."""

    name, digest_verb, scope = "files", verbs.FilesDigest, SCOPE
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
