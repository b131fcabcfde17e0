"""The folders that an account's files lie in: its home, and its messages in the mail system's folders outside of it.

Each is a tree of its own, which is copied, followed and compared. Of the messages there is one, whatever number of
folders they lie in.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...account.accounts import Account
from ...host import sandbox
from ...host.system import refuse


@dataclass(frozen=True)
class Tree:
    """`outside`: the folders of messages that it is; none where it is the home."""

    account: Account
    outside: tuple[str, ...] = ()

    @property
    def messages(self) -> bool:
        return bool(self.outside)

    @property
    def name(self) -> str:
        """As no account is called."""
        return f"{self.account.name}.messages" if self.messages else self.account.name

    @property
    def folders(self) -> tuple[str, ...]:
        return self.outside or (self.account.home,)

    @property
    def directory(self) -> Path:
        """Where this host keeps what it knows of it."""
        return self.account.directory / "messages" if self.messages else self.account.directory

    @property
    def home(self) -> str:
        """As the sandbox takes it."""
        return sandbox.together(self.folders) if self.messages else self.account.home

    @property
    def root(self) -> str:
        """What it is called in the sandbox."""
        return sandbox.root_of(self.home)

    @property
    def shown(self) -> str:
        return sandbox.shown(self.home)

    @property
    def uid(self) -> int:
        """Whose programs write there."""
        return os.stat(self.folders[0]).st_uid if self.messages else self.account.uid

    @property
    def relative(self) -> Callable[[bytes], bytes | None]:
        """What a path of this server is called in the tree; None where it lies elsewhere."""
        above = b"/" if self.messages else os.fsencode(self.account.home) + b"/"
        inside = tuple(os.fsencode(folder) + b"/" for folder in self.folders)
        return lambda path: path[len(above) :] if path.startswith(inside) else None


def of(account: Account) -> tuple[Tree, ...]:
    """The trees of an account."""
    return (Tree(account), *((Tree(account, account.mail_folders),) if account.mail_folders else ()))


def chosen(account: Account, messages: bool) -> Tree:
    """The tree that another server speaks of."""
    if messages and not account.mail_folders:
        refuse("no_such_folder", f"{account.name} has no messages outside of its home here.")
    return Tree(account, account.mail_folders if messages else ())
