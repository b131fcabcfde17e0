"""Whose a file is, and what it may name therefore."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ....account.accounts import Account
from ....host.digest import printable

Judge = Callable[[str, str, "Whose"], Iterator[str]]
"""Given the path of a file, its text and whose it is: a sentence for each thing in it that is not allowed."""

SHARED_LOGS = frozenset(
    "/var/log/" + name
    for name in (
        "apache2/access.log",
        "apache2/error.log",
        "apache2/other_vhosts_access.log",
        "apache2/ssl_access.log",
        "nginx/access.log",
        "nginx/error.log",
    )
)
"""Those that the packages of the web servers write, and rotate, for all sites."""
SHARED_CERTIFICATES = frozenset(
    (
        "/etc/ssl/certs/ssl-cert-snakeoil.pem",
        "/etc/ssl/private/ssl-cert-snakeoil.key",
        "/etc/letsencrypt/ssl-dhparams.pem",
    )
)
"""Those that packages make on each server."""
SHARED_FOLDERS = ("/usr/share/", "/usr/lib/cgi-bin/")
"""What packages have for all sites to show."""
_LOGS = re.compile(r"/var/log/[A-Za-z0-9][A-Za-z0-9._/@+-]{0,300}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|[^\S \t\n]")
_CLIMBS = re.compile(r"(?:\A|/)\.\.(?:/|\Z)")


@dataclass(frozen=True)
class Whose:
    """An account, as far as its files may name it. `sockets`: those of its own pools of PHP; `files`: all of its
    extras, which they may name each other by."""

    name: str
    home: str
    hosts: frozenset[str]
    domains: frozenset[str]
    sockets: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    @classmethod
    def of(cls, account: Account, sockets: Iterable[str] = ()) -> Whose:
        return cls(
            name=account.name,
            home=account.home,
            hosts=frozenset(account.hosts),
            domains=frozenset(account.domains),
            sockets=frozenset(sockets),
            files=frozenset(account.extras),
        )

    def is_named_by(self, text: str) -> bool:
        """Whether a name of a file, a pool or a socket has the account's name in it, or a domain of its, as a whole."""
        words = "|".join(re.escape(word) for word in (self.name, *sorted(self.domains)))
        return re.search(rf"(?:\A|[_-])(?:www\.)?(?:{words})(?:\Z|[._-])", text, re.IGNORECASE) is not None

    def is_at_home(self, path: str) -> bool:
        """Whether it is the home or lies below it, whoever follows no links."""
        return is_plain(path) and (path.rstrip("/") == self.home or path.startswith(f"{self.home}/"))

    def is_own_log(self, path: str) -> bool:
        """Whether root may write there for the account: below /var/log, in a file or folder that is named after it. Not
        in the home, where the account could put a link in its place."""
        parts = path.split("/")[3:]
        return bool(_LOGS.fullmatch(path)) and is_plain(path) and any(map(self.is_named_by, parts))


def is_plain(path: str) -> bool:
    """Whether a path leads where it says: from the root, and not back up."""
    return path.startswith("/") and not climbs(path) and os.path.normpath(path) == (path.rstrip("/") or "/")


def climbs(text: str) -> bool:
    """Whether a part of it is `..`."""
    return _CLIMBS.search(text) is not None


def strange_characters(path: str, text: str) -> Iterator[str]:
    """Characters that programs may read in different ways, such as line ends of other systems."""
    for number, line in enumerate(text.split("\n"), 1):
        if strange := _CONTROL.search(line):
            yield at(
                path, number, f"has the character {strange[0]!a}", "write the file as plain text, with Unix line ends"
            )


def at(path: str, line: int, wrong: str, to_do: str) -> str:
    """The sentence on what stands in a line of a file."""
    return printable(f"{path}:{line}: {wrong}; {to_do}.")[:900]
