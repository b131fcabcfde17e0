"""An account's home, and its messages outside of it: copied, followed while it serves, and compared with the copies."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from ...account.accounts import Account
from ...channel.peer import Peer
from ...host.digest import MOST
from ...host.kept import Threads
from ...host.scope import Scope
from ...host.system import run, side_by_side, write_durably
from ...layouts import mail, mail_folders
from ...verbs import peers as verbs
from ...verbs.verb import Asking, Nothing
from ..store import Compared, Followed, Following, Rehearsal, Report, Slow, Store
from . import follow as files_follow
from . import look, trees
from .changes import Lost
from .digest import describe, differences, digest, left_of, listed, listed_paths
from .rsync import send
from .trees import Tree

_FOLLOWS = "files.follows"
SCOPE = Scope(
    what="every file, folder and link below the home, and below the account's folders among the mail system's: content,"
    " permissions, owner, group, time, size, hard links, user attributes and ACLs",
    how="a SHA-256 of each file's content, and a line for each entry",
    when="all of it at the copy; in the hold whatever was written to since",
    without=(
        "The time of a folder's or file's last reading and its inode's number: they are a server's own.",
        "Sockets: a program makes its own when it starts.",
        "Named pipes, devices, set-user-id bits of files, attributes of the system and what chattr sets: not carried.",
        "Paths of more than 4,000 bytes from the home on: they are beyond what the system's own tools take.",
        "When a file was made, and quotas: they are a server's own.",
        "What is written meanwhile by others whom the account lets into its home: a hold stops the account's own.",
        "Among the mail system's folders: links that lead out of their own folder, a link's owner and time, and that"
        " two names are one file's; the user that owns them is each server's own.",
    ),
)


class Walked(Following):
    """A tree of which nothing tells what changes: each pass and comparison walks all of it."""

    def __init__(self, store: Store, tree: Tree, peer: Peer, followed: Followed, why: str) -> None:
        super().__init__(store, tree.account, peer, followed)
        self.tree, self.why = tree, why

    def rehearse(self) -> Rehearsal:
        began = time.monotonic()
        send(self.tree, self.peer, lambda **_: None)
        self.compare()
        seconds = round(time.monotonic() - began, 3)
        return Rehearsal(seconds, (Slow("files", seconds, self.why),))

    def final_pass(self) -> None:
        send(self.tree, self.peer, lambda **_: None, held=True)

    def compare(self) -> Compared:
        with Threads() as pool:
            asked = verbs.FilesDigest(messages=self.tree.messages)
            here, away = pool.submit(digest, self.tree), pool.submit(self.peer.call, asked)
            mine, theirs = here.result(), away.result()
        different = differences(self.tree, self.peer, mine, theirs)
        return Compared(files=mine["files"], bytes=mine["bytes"], different=tuple(different))

    def messages(self) -> int:
        return mail.count(self.account, listed_paths(self.tree), outside=self.tree.messages)


class Together(Following):
    """The trees of an account, side by side."""

    def __init__(self, store: Store, account: Account, peer: Peer, each: Sequence[Following]) -> None:
        followed = [one.followed for one in each]
        super().__init__(
            store,
            account,
            peer,
            Followed(
                files=sum(one.files for one in followed),
                bytes=sum(one.bytes for one in followed),
                seconds=max(one.seconds for one in followed),
                verify_seconds=max(one.verify_seconds for one in followed),
                left=tuple(sentence for one in followed for sentence in one.left),
            ),
        )
        self.each = each

    def rehearse(self) -> Rehearsal:
        rehearsals: list[Rehearsal] = side_by_side(*(one.rehearse for one in self.each))
        slow = tuple(slow for one in rehearsals for slow in one.slow)
        return Rehearsal(max(one.seconds for one in rehearsals), slow)

    def final_pass(self) -> None:
        side_by_side(*(one.final_pass for one in self.each))

    def compare(self) -> Compared:
        compared: list[Compared] = side_by_side(*(one.compare for one in self.each))
        return Compared(
            files=sum(one.files for one in compared),
            bytes=sum(one.bytes for one in compared),
            different=tuple(sentence for one in compared for sentence in one.different)[:MOST],
        )

    def messages(self) -> int:
        return sum(one.messages() for one in self.each)

    def stop(self) -> None:
        for one in self.each:
            one.stop()


# --- the target's side ---


def _ask(account: Account, question: str, paths: list[str], messages: bool) -> dict[str, Any]:
    """A question to the program that waits in the sandbox."""
    tree = trees.chosen(account, messages)
    return look.ask(tree, question, [path.encode("utf-8", "surrogateescape") for path in paths], writable=True)


def _digest(account: Account, want: verbs.FilesDigest, _asking: Asking) -> dict[str, Any]:
    return digest(trees.chosen(account, want.messages))


def _look(account: Account, want: verbs.FilesLook, _asking: Asking) -> dict[str, Any]:
    return _ask(account, "lines", want.paths, want.messages)


def _remove(account: Account, want: verbs.FilesRemove, _asking: Asking) -> Nothing:
    _ask(account, "remove", want.paths, want.messages)
    return Nothing()


def _link(account: Account, want: verbs.FilesLinks, _asking: Asking) -> Nothing:
    _ask(account, "link", [word for pair in want.links.items() for word in pair], messages=True)
    return Nothing()


def _settle(account: Account, want: verbs.FilesSettle, _asking: Asking) -> Nothing:
    _ask(account, "settle", want.paths, want.messages)
    return Nothing()


def _settle_all(account: Account, want: verbs.FilesSettleAll, _asking: Asking) -> Nothing:
    """Make all that was copied durable."""
    run(["sync", "--file-system", *trees.chosen(account, want.messages).folders], timeout=600)
    return Nothing()


def _listed(account: Account, want: verbs.FilesListed, _asking: Asking) -> verbs.Lines:
    return verbs.Lines(lines=listed(trees.chosen(account, want.messages), want.parts))


def _follows(account: Account, want: verbs.FilesFollows, _asking: Asking) -> verbs.Follows:
    """Which watcher of the source this copy follows: told, or asked."""
    mark = trees.chosen(account, want.messages).directory / _FOLLOWS
    if want.token is not None:
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(mark, want.token)
    return verbs.Follows(token=mark.read_text() if mark.exists() else None)


def _empty(account: Account, folders: tuple[str, ...]) -> None:
    """Take away what is in these folders of messages."""
    tree = Tree(account, folders)
    try:
        look.ask(tree, "empty", [os.fsencode(folder[1:]) for folder in folders], writable=True)
    finally:
        look.end(tree)


_PEER_VERBS = (
    verbs.FilesDigest.served_by(_digest),
    verbs.FilesFollows.served_by(_follows),
    verbs.FilesLinks.served_by(_link),
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
        """{"home_bytes", "files"} as the last digests found them (0 before the first)."""
        each = [describe(tree) for tree in trees.of(account)]
        return {"home_bytes": sum(one["bytes"] for one in each), "files": sum(one["files"] for one in each)}

    def digest(self, account: Account) -> dict[str, Any]:
        """That of the home, with all files counted, and behind `_messages` that of the messages outside of it."""
        home, *messages = (digest(tree) for tree in trees.of(account))
        counted = {key: sum(one[key] for one in (home, *messages)) for key in ("files", "bytes")}
        return home | counted | {"_messages": messages}

    def differences(self, account: Account, peer: Peer, mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
        home, *messages = trees.of(account)
        different = differences(home, peer, mine, theirs)
        for tree, here in zip(messages, mine["_messages"], strict=True):
            different += differences(tree, peer, here, peer.call(verbs.FilesDigest(messages=True)))
        return different[:MOST]

    def follow(self, account: Account, peer: Peer, report: Report) -> Following:
        mail.make_folders(account)
        each: list[Following] = side_by_side(
            *(partial(self._follow, tree, peer, report) for tree in trees.of(account)),
        )
        return Together(self, account, peer, each) if len(each) > 1 else each[0]

    def _follow(self, tree: Tree, peer: Peer, report: Report) -> Following:
        began = time.monotonic()
        if known := files_follow.resume(self, tree, peer):
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
            known = files_follow.begin(self, tree, peer, report)
            files_follow.save(known)
            return known
        except Lost as lost:
            files_follow.forget(tree)
            report(text=f"{lost.message} All files are walked inside the hold.")
            sent = send(tree, peer, report)
            seconds = round(time.monotonic() - began, 3)
            followed = Followed(sent["files"], sent["bytes"], seconds, left=tuple(left_of(tree)))
            return Walked(self, tree, peer, followed, lost.message)

    def messages(self, account: Account) -> int:
        """How many messages were in the account's mailboxes when all of its files were last walked; nothing is read."""
        return sum(mail.count(account, listed_paths(tree), outside=tree.messages) for tree in trees.of(account))

    def unfollow(self, account: Account) -> None:
        for tree in trees.of(account):
            files_follow.forget(tree)

    def finish(self, account: Account) -> None:
        for tree in trees.of(account):
            look.end(tree)
            (tree.directory / _FOLLOWS).unlink(missing_ok=True)

    def discard(self, account: Account) -> None:
        """Forget what is known of the home's contents; the home itself goes with the Unix user. What there is of
        messages outside of it goes at once."""
        self.unfollow(account)
        self.finish(account)
        for tree in trees.of(account):
            for name in ("files.hashes", "files.listing", "files.json"):
                (tree.directory / name).unlink(missing_ok=True)
        mail_folders.remove(account, _empty)


FILES = Files()
