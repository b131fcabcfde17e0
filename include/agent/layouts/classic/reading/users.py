"""The Unix users of a server."""

from __future__ import annotations

from dataclasses import dataclass

from .tree import Tree

FIRST_PERSON, NOBODY = 1000, 65534


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
    """Every user by name."""
    found: dict[str, User] = {}
    for line in tree.lines("/etc/passwd"):
        fields = line.split(":")
        if len(fields) == 7 and fields[0] and fields[2].isdecimal() and fields[3].isdecimal():
            found.setdefault(fields[0], User(fields[0], int(fields[2]), int(fields[3]), fields[5], fields[6]))
        elif line.strip():
            tree.notes.add(f"/etc/passwd: the line {line!r:.80} is no user's.", "passwd")
    return found


def groups(tree: Tree) -> dict[str, int]:
    """The number of every group, by name."""
    fields = (line.split(":") for line in tree.lines("/etc/group"))
    return {one[0]: int(one[2]) for one in fields if len(one) == 4 and one[2].isdecimal()}


def owner_of(path: str, users: dict[str, User]) -> User | None:
    """The person in whose home a path lies; of homes that lie in each other, the innermost."""
    homes = [user for user in users.values() if user.is_person and is_below(path, user.home)]
    return max(homes, key=lambda user: len(user.home), default=None)


def is_below(path: str, folder: str) -> bool:
    """Whether it is that folder or lies in it."""
    folder = folder.rstrip("/")
    return bool(folder) and (path == folder or path.startswith(f"{folder}/")) and "/../" not in f"{path}/"
