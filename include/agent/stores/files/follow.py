"""Following a home: after one comparison of everything, only what changed since is copied and compared.

What is known at any moment: every path that is not in `unproven` and has had no event after `since` is equal on both
servers. The watcher tells the events, the index what was proven, and a pass brings over the paths in between."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...channel.peer import Peer
from ...host import walk_format
from ...host.digest import MOST, printable
from ...host.kept import Threads
from ...host.system import refuse
from ...layouts import mail
from ...verbs import peers as verbs
from ..store import Compared, Followed, Following, Rehearsal, Report, Slow, Store
from . import changes as files_changes
from . import index as files_index
from . import look, mounted
from .changes import Changes, Lost
from .digest import differing, digest, left_of_cron, left_sentences, sentence, without_names
from .index import Index, parent_of
from .rsync import Listed, send
from .trees import Tree
from .walk import escaped, unescaped
from .watch import DEEP

_CONTENT = walk_format.FIELDS.index("content")
# Passes end when the last one had this few paths, or after this many.
FEW, _MOST_ROUNDS = 200, 6
# A changed file of this size is named when a rehearsal is slow.
_LARGE = 32 << 20
# So long after its start rsync has connected and waits for its list.
_CONNECT_SECONDS = 0.3


class Watched(Following):
    """What is known of a tree's two copies, on the source, while its watcher tells what changes."""

    def __init__(
        self, store: Store, tree: Tree, peer: Peer, followed: Followed, token: str, since: int, index: Index
    ) -> None:
        super().__init__(store, tree.account, peer, followed)
        self.tree, self.token, self.since, self.index = tree, token, since, index
        # The peer, by a connection of its own: the program that looks there is always the same.
        self.line = peer.apart()
        # Paths whose copies may differ, with the number of comparisons that they have failed.
        self.unproven: dict[bytes, int] = {}
        # Files that may be written to without an event: every pass takes them.
        self.mapped: set[bytes] = set()
        self.rsync_errors = ""
        self.sizes: dict[bytes, int] = {}
        self.ready: Listed | None = None

    def rehearse(self) -> Rehearsal:
        prepare(self)
        began = time.monotonic()
        carry(self, held=False)
        prove(self)
        seconds = round(time.monotonic() - began, 3)
        slow = _slow(self, seconds)
        prepare(self)
        return Rehearsal(seconds, slow)

    def final_pass(self) -> None:
        mounted.require_none(self.tree)
        carry(self, held=True)

    def compare(self) -> Compared:
        note(self)
        unequal = prove(self)
        if unequal and len(unequal) <= FEW:
            # Nobody writes any more: what one pass left (a directory's time, the names of a file that were parted) a
            # second one brings over, which is less than another hold.
            carry(self, held=True)
            unequal = prove(self)
        different = [difference.sentence for difference in unequal.values()]
        return Compared(files=self.index.files, bytes=self.index.bytes, different=tuple(different[:MOST]))

    def messages(self) -> int:
        return mail.count(self.account, self.index.rest, outside=self.tree.messages)

    def stop(self) -> None:
        self.line.close()
        if self.ready:
            self.ready.abandon()
        super().stop()


@dataclass(frozen=True)
class Different:
    """How one path differs, in words, and whether in `itself`: not only in which other names its file has."""

    sentence: str
    itself: bool


def resume(store: Store, tree: Tree, peer: Peer) -> Watched | None:
    """What was known of this tree and peer when it was last saved; None where nothing is."""
    try:
        with open(tree.directory / "files.followed", "rb") as file:
            head = json.loads(file.readline())
            follows = verbs.FilesFollows(messages=tree.messages)
            if head["move"] != peer.move or peer.call(follows).token != head["token"]:
                return None
            index = files_index.load(file)
    except FileNotFoundError:
        return None
    watched = Watched(store, tree, peer, Followed(left=tuple(head["left"])), head["token"], head["since"], index)
    watched.unproven = {os.fsencode(path): 0 for path in head["unproven"]}
    return watched


def begin(store: Store, tree: Tree, peer: Peer, report: Report) -> Watched:
    """Copy everything, compare everything, and have the watcher note what changes from the start on; raises Lost."""
    forget(tree)
    began = time.monotonic()
    token = files_changes.start(tree).token
    sent = send(tree, peer, report)
    copied = time.monotonic()
    since = files_changes.since(tree, 0).number
    report(text="reading both copies")
    with Threads() as pool:
        durable = pool.submit(peer.call, verbs.FilesSettleAll(messages=tree.messages))
        asked = verbs.FilesDigest(messages=tree.messages)
        digest_here, digest_there = pool.submit(digest, tree), pool.submit(peer.call, asked)
        mine, theirs = digest_here.result(), digest_there.result()
        with open(mine["_listing"], "rb") as listing:
            index = files_index.load(listing)
        left = (*left_sentences(mine["_left"]), *left_of_cron(tree))
        following = Watched(store, tree, peer, Followed(left=left), token, since, index)
        for path, _, _ in differing(tree, peer, mine, theirs):
            following.unproven[unescaped(os.fsencode(path))] = 0
        catch_up(following)
        proven = time.monotonic()
        durable.result()
    peer.call(verbs.FilesFollows(token=token, messages=tree.messages))
    following.followed = Followed(
        files=sent["files"],
        bytes=sent["bytes"],
        seconds=round(time.monotonic() - began, 3),
        verify_seconds=round(proven - copied, 3),
        left=left,
    )
    return following


def catch_up(following: Watched) -> None:
    """Passes over what changed, until little is left; refused where copies differ that nobody writes to."""
    for _ in range(_MOST_ROUNDS):
        before = {path: following.index.rest.get(path) for path in following.unproven}
        moved = carry(following, held=False)
        different = prove(following)
        moving = following.mapped.union(_changes(following).paths)
        # What is being written at this moment differs at every look; the hold brings it over.
        if len(moved) <= FEW and moving.issuperset(following.unproven):
            return
    sentences = [
        difference.sentence
        for path, difference in different.items()
        if difference.itself and path not in moving and before.get(path, b"") == following.index.rest.get(path)
    ]
    if sentences:
        message = f"{' '.join(sentences[:3])} {following.rsync_errors}"
        refuse("files_differ", f"Files differ after {_MOST_ROUNDS} copies: {message[:1000]}")


def save(following: Watched) -> None:
    """Keep on disk what is known, for the next verb; the watcher need not remember what came before."""
    unproven = [os.fsdecode(path) for path in following.unproven]
    head = {
        "token": following.token,
        "since": following.since,
        "move": following.peer.move,
        "unproven": unproven,
        "left": following.followed.left,
    }
    following.index.save(following.tree.directory / "files.followed", head)
    files_changes.since(following.tree, following.since, forget=following.since)


def forget(tree: Tree) -> None:
    """Nothing is known of the tree any more, and nothing runs for it here."""
    look.end(tree)
    files_changes.stop(tree)
    for name in ("files.followed", "files.followed.new"):
        (tree.directory / name).unlink(missing_ok=True)


def prepare(following: Watched) -> None:
    """Start what the next pass and the next proof will use."""
    if following.ready is None or not following.ready.waits:
        # With `again` it suits every list of files that are not large: which it will be is not known yet.
        following.ready = Listed(following.tree, following.peer, again=True)
    look.begin(following.tree, writable=False)
    following.line.call(verbs.FilesLook(paths=[], messages=following.tree.messages))
    time.sleep(max(0.0, following.ready.began + _CONNECT_SECONDS - time.monotonic()))


def carry(following: Watched, *, held: bool) -> set[bytes]:
    """Bring over what changed since the last time, durably. Returns the paths, which are unproven now; raises Lost."""
    changes = _changes(following)
    paths, states = _concerned(following, changes)
    if not held:
        # After the question for changes: what was mapped since then has had an event since then.
        following.mapped = files_changes.mapped(following.tree)
    index, messages = following.index, following.tree.messages
    if paths:
        present = {path for path, state in states.items() if state[0] in "fdl"}
        same, again = _unchanged(following, present, states)
        if removed := _to_remove(following, paths, present, states):
            following.line.call(verbs.FilesRemove(paths=[os.fsdecode(path) for path in removed], messages=messages))
        if messages and (links := {path for path in present - same if states[path][0] == "l"}):
            following.line.call(verbs.FilesLinks(links=_led(following, links)))
            present -= links
        if to_copy := present - same:
            again = again or any(path in to_copy for path in following.unproven)
            parts = any(
                states[path][4] >= _LARGE and index.kind(path) == "f" and (again or not _as_listed(index, path, states))
                for path in to_copy
            )
            following.rsync_errors = _listed(following, again, parts).copy(to_copy, held=held)
        following.line.call(verbs.FilesSettle(paths=[os.fsdecode(path) for path in paths], messages=messages))
    if held and following.ready:
        # Unused, it would hold the target's data open for writing.
        following.ready.abandon()
        following.ready = None
    following.sizes = {path: state[4] for path, state in states.items() if state[0] == "f"}
    following.unproven |= dict.fromkeys(paths - following.unproven.keys(), 0)
    following.since = changes.number
    return paths


def prove(following: Watched) -> dict[bytes, Different]:
    """Look at everything unproven on both sides; what differs stays unproven and is returned."""
    if not following.unproven:
        return {}
    paths, index = list(following.unproven), following.index
    with Threads() as pool:
        question = verbs.FilesLook(paths=[os.fsdecode(path) for path in paths], messages=following.tree.messages)
        asked_there = pool.submit(following.line.call, question)
        mine = look.ask(following.tree, "lines", paths)["lines"]
        reply = asked_there.result()
    strange, theirs = set(reply["strange"]), reply["lines"]
    different: dict[bytes, Different] = {}
    for path in paths:
        name = os.fsdecode(path)
        (inode, original), (_, copy) = mine.get(name, (0, None)), theirs.get(name, (0, None))
        if original is None:
            index.drop(path)
        else:
            index.put(path, inode, os.fsencode(original))
        if original != copy:
            text = sentence(os.fsdecode(escaped(path)), original, copy)
            different[path] = Different(text, without_names(original) != without_names(copy))
        elif name in strange:
            different[path] = Different(f"{printable(name)}: has a further name on the target.", False)
    following.unproven = {path: following.unproven[path] + 1 for path in different}
    return different


def note(following: Watched) -> None:
    """What changed since the last pass is unproven too."""
    changes = _changes(following)
    paths, _ = _concerned(following, changes)
    following.unproven |= dict.fromkeys(paths - following.unproven.keys(), 0)
    following.since = changes.number


def _slow(following: Watched, seconds: float) -> tuple[Slow, ...]:
    """The largest files of the last pass, by their share of its time."""
    total = sum(following.sizes.values()) or 1
    large = sorted(((size, path) for path, size in following.sizes.items() if size >= _LARGE), reverse=True)
    return tuple(
        Slow(
            what=printable(os.fsdecode(path)),
            seconds=round(seconds * size / total, 3),
            why=f"It has {size >> 20} MB and changes while the account serves: it is read whole inside the hold.",
        )
        for size, path in large[:MOST]
    )


# --- parts of a pass ---


def _changes(following: Watched) -> Changes:
    changes = files_changes.since(following.tree, following.since)
    if changes.token != following.token:
        raise Lost("its watcher was started anew")
    return changes


def _concerned(following: Watched, changes: Changes) -> tuple[set[bytes], dict[bytes, list[Any]]]:
    """The paths that one pass must take together, and what they are now: [type, inode, names, time, size]."""
    index = following.index
    paths = following.mapped.union(following.unproven)
    for path, flags in changes.paths.items():
        paths.add(path)
        if flags & DEEP:
            paths.update(index.below(path))
    states: dict[bytes, list[Any]] = {}
    fresh = {name for path in paths for name in (*index.group(path), parent_of(path))}
    while fresh:
        paths |= fresh
        new = _states(following.tree, fresh | paths if not states else fresh)
        states |= new
        # A second name made for a file that has one in the index: they belong together.
        linked = {index.named.get(state[1]) for state in new.values() if state[0] == "f" and state[2] > 1}
        fresh = {name for linked_path in linked if linked_path is not None for name in index.group(linked_path)} - paths
        fresh |= {parent_of(name) for name in fresh} - paths
    return paths, states


def _states(tree: Tree, paths: Iterable[bytes]) -> dict[bytes, list[Any]]:
    return {os.fsencode(path): state for path, state in look.ask(tree, "states", paths).items()}


def _led(following: Watched, links: set[bytes]) -> dict[str, str]:
    """Where these links among messages lead, those that lead elsewhere left out."""
    lines = look.ask(following.tree, "lines", links)["lines"]
    contents = {path: os.fsencode(rest).split(b"\t")[_CONTENT] for path, (_, rest) in lines.items()}
    return {path: os.fsdecode(unescaped(content)) for path, content in contents.items()}


def _unchanged(following: Watched, present: set[bytes], states: dict[bytes, list[Any]]) -> tuple[set[bytes], bool]:
    """The entries that are what the index says although something was said of them, and whether there are files whose
    content changed under an unchanged time and size: a forged time, or a writer through a mapping."""
    index = following.index
    doubtful = {path for path in present if path not in following.unproven and _as_listed(index, path, states)}
    if not doubtful:
        return set(), False
    inodes = {states[path][1] for path in doubtful if states[path][2] > 1}
    together = doubtful | {path for path in present if states[path][1] in inodes}
    lines = look.ask(following.tree, "lines", together)["lines"]
    same, again = set(), False
    for path in doubtful:
        _, rest = lines.get(os.fsdecode(path), (0, ""))
        if os.fsencode(rest) == index.rest[path]:
            same.add(path)
        elif rest and os.fsencode(rest).split(b"\t")[_CONTENT] != index.rest[path].split(b"\t")[_CONTENT]:
            again = True
    # Names of one file go over together, or they would be two files there.
    parted = {states[path][1] for path in present - same if states[path][2] > 1}
    return {path for path in same if states[path][1] not in parted}, again


def _as_listed(index: Index, path: bytes, states: dict[bytes, list[Any]]) -> bool:
    """Whether kind, time and size are those that were proven."""
    kind, _, _, changed, size = states[path]
    return index.kind(path) == kind and index.time_and_size(path) == (changed, size if kind == "f" else 0)


def _to_remove(
    following: Watched, paths: set[bytes], present: set[bytes], states: dict[bytes, list[Any]]
) -> list[bytes]:
    """What must be taken away on the target before rsync comes: it replaces, but does not delete or part names."""
    index = following.index
    removed = set()
    for path in paths:
        if path not in present or index.kind(path) not in (None, states[path][0]):
            removed.add(path)
        elif following.unproven.get(path, 0) > 1 and states[path][0] != "d":
            removed.add(path)
        group = index.group(path)
        if len(group) > 1 and len({states[name][1] for name in group & present}) > 1:
            removed |= group
    removed.discard(b".")
    return sorted(path for path in removed if not _within(path, removed))


def _within(path: bytes, others: set[bytes]) -> bool:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        if path in others:
            return True
    return False


def _listed(following: Watched, again: bool, parts: bool) -> Listed:
    """An rsync for this pass: the one that waits, where it suits."""
    ready = following.ready
    if ready and ready.waits and not parts:
        following.ready = None
        return ready
    return Listed(following.tree, following.peer, again=again, parts=parts)
