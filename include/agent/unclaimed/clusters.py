"""Database servers beside those that accounts' databases are in: no connection is made to them."""

from __future__ import annotations

import re

from ..verbs import Unclaimed
from .here import Here, unclaimed
from .running import Running, processes

KIND = "cluster"
_PIDS = ("/run/postgresql/.s.PGSQL.5432.lock", "/run/mysqld/mysqld.pid")
_DATA = re.compile(r"^\s*data_directory\s*=?\s*'([^']*)'", re.MULTILINE)
_PROGRAMS = {"postgres": "PostgreSQL", "mysqld": "MySQL or MariaDB", "mariadbd": "MySQL or MariaDB"}


def look(here: Here) -> list[Unclaimed]:
    """Each by the folder of its data."""
    running = [*processes(here)]
    own = _own(here, running)
    clusters: dict[str, Unclaimed] = {}

    def add(folder: str, sentence: str) -> None:
        if folder not in own and folder not in clusters:
            clusters[folder] = unclaimed(KIND, folder, sentence)

    heads = {each.pid: each for each in running if each.name in _PROGRAMS}
    for each in heads.values():
        if each.parent not in heads and each.user not in here.users:
            add(each.folder, f"Another {_PROGRAMS[each.name]} server runs here, with its data in {each.folder}.")
    for path, file in here.matches(["/etc/postgresql/*/*/postgresql.conf"]):
        if not file.is_file():
            continue
        stated = _DATA.search(file.read_text(errors="replace"))
        _, _, _, version, name, _ = path.split("/")
        add(
            stated[1] if stated else f"/var/lib/postgresql/{version}/{name}",
            f"Another PostgreSQL cluster, {version}/{name}, is set up here, as {path} says.",
        )
    for path, _ in here.matches(["/var/lib/postgresql/*/*/PG_VERSION"]):
        folder = path.rpartition("/")[0]
        add(folder, f"The data of another PostgreSQL cluster lies in {folder}.")
    return [*clusters.values()]


def _own(here: Here, running: list[Running]) -> set[str]:
    """The folders of those that the agent itself speaks to, as they are set and as they are."""
    lines = [here.at(path).read_text().splitlines() for path in _PIDS if here.at(path).is_file()]
    pids = {words[0].strip() for words in lines if words}
    # PostgreSQL's has its folder in the second line.
    set_up = {words[1] for words in lines if len(words) > 1}
    return set_up | {process.folder for process in running if str(process.pid) in pids}
