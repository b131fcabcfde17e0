"""The server as it is looked at, and how one thing that is no account's is told."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..account.accounts import Account
from ..host.digest import printable
from ..verbs import Unclaimed

MOST = 200
"""Things of one kind that are told one by one; whoever has more has a folder or a host of its own to think about."""
NOT_LOOKED_AT = "not_looked_at"
"""The kind of what could be there unseen. It is signed for like any other: whoever signs knows what is there."""
_LONGEST_NAME, _LONGEST_SENTENCE = 400, 900


@dataclass(frozen=True)
class Here:
    """`root`: where the server's files begin; `accounts`: those whose file is there; `unreadable`: others, and why
    their file cannot be read."""

    root: Path
    accounts: Collection[Account]
    unreadable: dict[str, str]

    def at(self, path: str) -> Path:
        """Where a path of the server lies."""
        return self.root / path.lstrip("/")

    def matches(self, patterns: Iterable[str]) -> Iterator[tuple[str, Path]]:
        """What there is of these (`*` stands for a part of a name), as the server calls it and where it lies."""
        for pattern in patterns:
            for path in sorted(self.root.glob(pattern.lstrip("/"))):
                yield "/" + os.fspath(path.relative_to(self.root)), path

    @property
    def names(self) -> set[str]:
        return {account.name for account in self.accounts} | {*self.unreadable}

    @property
    def homes(self) -> set[str]:
        return {account.home for account in self.accounts}

    @property
    def folders(self) -> set[str]:
        """What is the accounts' alone: homes, and folders of messages."""
        return self.homes.union(*(account.mail_folders for account in self.accounts))

    @property
    def users(self) -> set[int]:
        """The Unix users of accounts."""
        return {account.uid for account in self.accounts if not account.part}


def unclaimed(kind: str, name: str, sentence: str) -> Unclaimed:
    """One thing, safe to print; a name that is too long is told by its beginning, and by what is different in it."""
    return Unclaimed(kind=kind, name=shown(name), sentence=printable(sentence)[:_LONGEST_SENTENCE])


def shown(name: str) -> str:
    """A name as it is told."""
    text = printable(name)
    if len(text) <= _LONGEST_NAME:
        return text
    return f"{text[: _LONGEST_NAME - 20]}...{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:16]}"


def at_most(things: list[Unclaimed]) -> list[Unclaimed]:
    """So many things of each kind; the others are told together."""
    kinds: dict[str, list[Unclaimed]] = {}
    for each in things:
        kinds.setdefault(each.kind, []).append(each)
    for kind, of_kind in kinds.items():
        if len(of_kind) > MOST:
            sentence = f"{len(of_kind) - MOST} more things of this server are of the kind {kind}: look at them there."
            of_kind[MOST:] = [unclaimed(NOT_LOOKED_AT, kind, sentence)]
    return [each for of_kind in kinds.values() for each in of_kind]
