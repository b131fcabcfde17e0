"""Who keeps the passwords of database users: found in persons' files, and proven against what the engine has.

That a file names a user proves nothing: a customer may write the name of a neighbour's. The password proves it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ....host.homes import may_be_home
from .named_in_files import Look, look_into
from .tree import Tree
from .users import User, is_below

Opens = Callable[[str], bool]
"""Whether a password is that of one user."""
LookInto = Callable[..., Look]
_SECONDS_A_PERSON = 30.0
_SECONDS_TO_TRY = 10.0
_SECONDS = 1200.0
"""Of all persons."""


@dataclass
class Kept:
    """By person: the names that their files have, each with such a file; whose of those users' passwords they keep;
    and whether not all of their files were looked at."""

    named: dict[str, dict[str, str]] = field(default_factory=dict)
    keepers: dict[str, set[str]] = field(default_factory=dict)
    """By user, as the engine tells it."""
    unfinished: set[str] = field(default_factory=set)


def kept(
    persons: Collection[User],
    folders: Mapping[str, Iterable[str]],
    names: Sequence[str],
    locks: Mapping[str, tuple[str, Opens]],
    tree: Tree,
    look: LookInto = look_into,
) -> Kept:
    """Look for these names in each person's home and further folders, and try what may be a password of those that have
    a lock: by user, its name and the lock."""
    passwords = Kept()
    end = time.monotonic() + _SECONDS
    for person in persons if names else ():
        others = [tree.on_disk(other.home) for other in persons if other is not person and other.home]
        for folder in _tops(person, folders.get(person.name, ()), tree, passwords):
            seconds = min(_SECONDS_A_PERSON, end - time.monotonic())
            if seconds <= 0:
                passwords.unfinished.add(person.name)
                continue
            below = [other for other in others if is_below(other, folder) and not is_below(folder, other)]
            _take(look(folder, person.uid, person.gid, names, below, seconds), person.name, locks, passwords)
    return passwords


def _take(seen: Look, person: str, locks: Mapping[str, tuple[str, Opens]], passwords: Kept) -> None:
    if seen.unfinished:
        passwords.unfinished.add(person)
    named = passwords.named.setdefault(person, {})
    for name, each in seen.seen.items():
        named.setdefault(name, each.file)
    end = time.monotonic() + _SECONDS_TO_TRY
    for user, (name, opens) in locks.items():
        for password in seen.seen[name].passwords if name in seen.seen else ():
            if time.monotonic() > end:
                passwords.unfinished.add(person)
                return
            if opens(password):
                passwords.keepers.setdefault(user, set()).add(person)
                break


def _tops(person: User, folders: Iterable[str], tree: Tree, passwords: Kept) -> list[str]:
    """The folders to look into, on this disk. A folder in one of the person's own is seen from there, where it leads to
    nothing that the person may not see; so each is the uppermost that is not the host's alone."""
    tops: dict[str, None] = {}
    for folder in [person.home, *folders]:
        top = tree.top_of_others(tree.settled(folder)) if folder else None
        if top is None or any(is_below(top, other) for other in tops):
            continue
        if _may_be_looked_into(top, person, tree):
            tops[top] = None
        else:
            passwords.unfinished.add(person.name)
    return [tree.on_disk(top) for top in tops]


def _may_be_looked_into(top: str, person: User, tree: Tree) -> bool:
    """Whether root may put the person there: nobody can lead it elsewhere, and the person gets there by itself too."""
    status = tree.status(top)
    if status is None or not stat.S_ISDIR(status.st_mode) or not may_be_home(top):
        return False
    if status.st_uid not in (person.uid, tree.root_owner):
        return False
    above = os.path.dirname(top)
    while above != "/":
        folder = tree.status(above)
        if folder is None or folder.st_mode & 0o002 or not _may_pass(folder, person):
            return False
        above = os.path.dirname(above)
    return True


def _may_pass(folder: os.stat_result, person: User) -> bool:
    if folder.st_uid == person.uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    return bool(folder.st_mode & (stat.S_IXGRP if folder.st_gid == person.gid else stat.S_IXOTH))
