"""Where a mailbox's messages lie, if not in the account's home as usual; and how much a mailbox may hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..host.digest import printable
from ..host.homes import is_of_the_system
from .file_values import bad, mapping

# Signs that mean nothing to Dovecot's files, its variables and systemd's; above the account's own folder, to nobody.
_PLACE = re.compile(r"(?=.{1,400}\Z)(/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._@+=,~#&'*?^`{|}!-]{1,255}){2,16}")
_ABOVE = re.compile(r"(/[A-Za-z0-9._-]+)+")
_OF_MAIL = re.compile(r"/var/(?:vmail|mail|virtual|spool/(?:mail|vmail|virtual)|lib/(?:vmail|mail|dovecot))/")
_LAYOUTS = ("", "fs")
_LARGEST = 1 << 60
_MOST_FOLDERS = 1000


@dataclass(frozen=True)
class Place:
    """Where a mailbox lies: its Maildir, and what else Dovecot keeps of it, in or around that. `layout`: "fs" where its
    folders are folders of the file system."""

    maildir: str
    home: str
    layout: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"maildir": self.maildir, "home": self.home, **({"layout": self.layout} if self.layout else {})}

    @classmethod
    def from_json(cls, item: Any, address: str) -> Place:
        item = mapping(item, f"The place of the mailbox {address}", ("maildir", "home", "layout"))
        maildir, layout = item.get("maildir"), item.get("layout", "")
        home = item.get("home", maildir)
        for path in (maildir, home):
            if not isinstance(path, str) or not _PLACE.fullmatch(path) or not _is_for_mail(path):
                bad(
                    f"The messages of {address} cannot lie in {printable(f'{path!r:.200}')}: give a plain path such as"
                    " /var/vmail/shop.example/info, in no folder of the operating system's."
                )
        if not is_in(maildir, home):
            bad(f"The Maildir of {address} ({maildir}) must lie in its home ({home}).")
        if layout not in _LAYOUTS:
            bad(f"The layout {printable(f'{layout!r:.60}')} of the mailbox {address} must be fs, or be left out.")
        return cls(maildir, home, layout)

    def folder(self, address: str) -> str | None:
        """The folder on the way there that is called after the address or its domain, and so is nobody else's."""
        names = self.home.split("/")
        own = {address, address.lower(), address.partition("@")[2]}
        return next(("/".join(names[: at + 1]) for at, name in enumerate(names) if name in own), None)


@dataclass(frozen=True)
class Quota:
    """As much as a mailbox may hold; 0 is without end, None as the server has it for all."""

    bytes: int | None = None
    messages: int | None = None

    def to_json(self) -> dict[str, Any]:
        both = {"bytes": self.bytes, "messages": self.messages}
        return {name: value for name, value in both.items() if value is not None}

    @classmethod
    def from_json(cls, item: Any, address: str) -> Quota:
        item = mapping(item, f"The quota of the mailbox {address}", ("bytes", "messages"))
        for value in item.values():
            if type(value) is not int or not 0 <= value <= _LARGEST:
                bad(f"The quota of the mailbox {address} must be a number from 0 to {_LARGEST}, not {value!r:.60}.")
        if not item:
            bad(f"The quota of the mailbox {address} has neither bytes nor messages; give one, or leave it out.")
        return cls(item.get("bytes"), item.get("messages"))


def is_in(path: str, folder: str) -> bool:
    """Whether a plain path is that folder, or lies in it."""
    return f"{path}/".startswith(f"{folder}/")


def folders(places: Iterable[tuple[str, Place]], home: str) -> tuple[str, ...]:
    """The folders outside of the home that these mailboxes, by address, lie in: each the account's alone."""
    own_folders: set[str] = set()
    for address, place in places:
        if is_in(place.home, home):
            continue
        folder = place.folder(address)
        if folder is None or not _ABOVE.fullmatch(folder.rpartition("/")[0]):
            bad(
                f"The messages of {address} lie in {place.home}, which does not say whose they are: move them into a"
                f" folder called after the domain, such as /var/vmail/{address.partition('@')[2]}."
            )
        if is_in(home, folder):
            bad(f"The messages of {address} lie in {folder}, in which the home lies too: move them apart.")
        own_folders.add(folder)
    if len(own_folders) > _MOST_FOLDERS:
        bad(f"The mailboxes lie in {len(own_folders)} folders, more than the {_MOST_FOLDERS} that go over; use fewer.")
    outermost: list[str] = []
    for folder in sorted(own_folders, key=lambda path: path.split("/")):
        if not outermost or not is_in(folder, outermost[-1]):
            outermost.append(folder)
    return tuple(outermost)


def _is_for_mail(path: str) -> bool:
    return bool(_OF_MAIL.match(path)) or not is_of_the_system(path)
