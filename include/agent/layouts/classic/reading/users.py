"""The Unix users of a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .tree import Place, Tree

FIRST_PERSON, NOBODY = 1000, 65534
_FILE = "/etc/passwd"


@dataclass(frozen=True)
class User:
    name: str
    uid: int
    gid: int
    home: str
    shell: str

    @property
    def is_person(self) -> bool:
        """Whether it may be a customer's, not the operating system's."""
        return self.uid >= FIRST_PERSON and self.uid != NOBODY


def read(tree: Tree) -> dict[str, User]:
    """The user of every login name: several with one number are one user, called by the first of them."""
    users: dict[str, User] = {}
    by_number: dict[str, User] = {}
    for number, line in enumerate(tree.lines(_FILE), 1):
        fields = line.split(":")
        if len(fields) == 7 and fields[0] and is_number(fields[2]) and is_number(fields[3]):
            user = User(fields[0], int(fields[2]), int(fields[3]), fields[5].rstrip("/"), fields[6])
            users.setdefault(user.name, by_number.setdefault(fields[2], user))
        elif line.strip():
            tree.notes.add(f"{Place(_FILE, number)}: the line {line!r:.80} is no user's.", "passwd")
    return users


def is_number(text: str) -> bool:
    """Whether it is written like the number of a user or group."""
    return text.isascii() and text.isdecimal() and len(text) <= 10


def second_logins(tree: Tree, users: dict[str, User]) -> Iterator[tuple[User, str, Place]]:
    """The further names that a user may log in by, such as one for FTP into a folder of the home."""
    for number, line in enumerate(tree.lines(_FILE), 1):
        name = line.partition(":")[0]
        if name in users and users[name].name != name:
            yield users[name], name, Place(_FILE, number)


def owner_of(path: str, users: dict[str, User]) -> User | None:
    """The person in whose home a path lies; of homes that lie in each other, the innermost."""
    homes = [user for user in users.values() if user.is_person and is_below(path, user.home)]
    return max(homes, key=lambda user: len(user.home), default=None)


def is_below(path: str, folder: str) -> bool:
    """Whether it is that folder or lies in it."""
    folder = folder.rstrip("/")
    return bool(folder) and (path == folder or path.startswith(f"{folder}/")) and "/../" not in f"{path}/"
