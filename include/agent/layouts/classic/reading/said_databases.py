"""What the host itself says of whose a database is: a file of root's on the server."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ....account.engines import DECLARED, ENGINES
from ....host.digest import printable
from .tree import Place, Tree

FILE = "/etc/transhumance/databases"
THE_HOSTS = "-"
"""In the place of an account: the database is the host's own, and no account's."""
Said = dict[tuple[str, str], str]
"""By engine and database: an account, or THE_HOSTS."""


def read(tree: Tree, here: Mapping[str, Collection[str]], accounts: Collection[str]) -> Said:
    """Each line `ENGINE DATABASE ACCOUNT`; one that cannot be meant is told, and says nothing. `here`: the databases of
    the engines that run."""
    status = tree.status(FILE)
    if status is None:
        return {}
    if status.st_uid != tree.root_owner or status.st_mode & 0o022:
        tree.notes.add(
            f"{FILE} is not read, because others than root may change it: chown root {FILE}; chmod 644 {FILE}."
        )
        return {}
    lines: Said = {}
    for number, line in enumerate(tree.lines(FILE), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            engine, _, rest = line.strip().partition(" ")
            database, _, account = rest.strip().rpartition(" ")
            key = (engine, database.strip())
            if wrong := _wrong(key, account, here, accounts, lines):
                tree.notes.add(f"{Place(FILE, number)}: {wrong}")
            else:
                lines[key] = account
    return lines


def _wrong(
    key: tuple[str, str], account: str, here: Mapping[str, Collection[str]], accounts: Collection[str], lines: Said
) -> str:
    engine, database = key
    if engine not in ENGINES or not database:
        return f"a line is made of {' or '.join(ENGINES)}, a database and an account (or {THE_HOSTS}); write it so."
    shown = f"{next(each.title for each in DECLARED if each.name == engine)} database {printable(database)}"
    if account != THE_HOSTS and account not in accounts:
        return f"the {shown} is said to be of {printable(account)}, who is no account here; name one, or {THE_HOSTS}."
    if engine in here and database not in here[engine]:
        return f"there is no {shown} here; take the line away."
    if lines.get(key, account) != account:
        return f"the {shown} was said to be of {lines[key]} above; leave one of the lines."
    return ""
