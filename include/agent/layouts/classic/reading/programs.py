"""Programs of the accounts' that start by themselves: by systemd, by cron."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ....verbs.discovered import Extra
from ..judges import cron
from .tree import Place, Tree
from .users import User

_SYSTEM_UNITS = "/etc/systemd/system"
_LINGER = "/var/lib/systemd/linger"
_USER_UNITS = ".config/systemd/user"
_CRON_FOLDER = "/etc/cron.d"
_CRON_FILE = "/etc/crontab"
CRONTABS = "/var/spool/cron/crontabs"
_CRONTAB, _AT_LOGIN = "a crontab", "a unit that runs while the user is logged in"
_OWN_UNIT = "a unit of the user's own"
LINE_OF_CRON, OWN_CRON_LINE = "a line of cron", "a line of a file of cron's that is the user's alone"
CARRIED = (_CRONTAB, _AT_LOGIN, _OWN_UNIT, OWN_CRON_LINE)
"""What starts on another server as it does here: it goes over with the account's stores."""
_LINE = re.compile(r"(?:@\w+|(?:\S+\s+){4}\S+)\s+(\S+)\s+(.+)")
_MAX_COMMAND = 500


@dataclass(frozen=True)
class Program:
    """`kind`: what starts it; `file`: where that is said; `command`: what it runs, where that may be read."""

    user: str
    kind: str
    file: str
    command: str


def read(tree: Tree, users: dict[str, User]) -> list[Program]:
    """Every program that is started for a person."""
    programs = [*_system_units(tree, users), *_cron_lines(tree, users)]
    for user in users.values():
        if user.is_person:
            programs += _user_units(tree, user)
            if tree.is_there(f"{CRONTABS}/{user.name}"):
                programs.append(Program(user.name, _CRONTAB, f"{CRONTABS}/{user.name}", ""))
    names = {*users}
    for name in tree.names(_LINGER):
        if name not in names:
            tree.notes.add(f"{_LINGER}/{name} lets programs of a user run that there is not; remove it.")
    return programs


def _system_units(tree: Tree, users: dict[str, User]) -> list[Program]:
    """Units of the host's that run as a person."""
    by_number = {str(user.uid): user for user in users.values()}
    units = []
    for name in tree.names(_SYSTEM_UNITS):
        path = f"{_SYSTEM_UNITS}/{name}"
        if not name.endswith(".service") or tree.is_folder(path):
            continue
        settings = _unit(tree.lines(path))
        word = settings.get("User", "")
        user = users.get(word) or by_number.get(word)
        if user and user.is_person:
            units.append(Program(user.name, "a unit of systemd", path, settings.get("ExecStart", "")[:_MAX_COMMAND]))
        elif "%" in word:
            tree.notes.add(f"{path} runs as {word!r:.60}, which each instance of the unit says for itself.")
    return units


def _unit(lines: list[str]) -> dict[str, str]:
    """The settings of a unit's file, the last of each name."""
    settings: dict[str, str] = {}
    whole = ""
    for line in lines:
        if line.lstrip()[:1] in ("#", ";"):
            continue
        whole += line.removesuffix("\\")
        if not line.endswith("\\"):
            key, sign, value = whole.partition("=")
            if sign:
                settings[key.strip()] = value.strip()
            whole = ""
    return settings


def _user_units(tree: Tree, user: User) -> list[Program]:
    """The units that a user has; they run without a login where the user lingers. They are not looked into."""
    lingers = tree.is_there(f"{_LINGER}/{user.name}")
    kind = _OWN_UNIT if lingers else _AT_LOGIN
    names = tree.names_beneath(user.home, _USER_UNITS)
    return [
        Program(user.name, kind, f"{user.home}/{_USER_UNITS}/{name}", "")
        for name in names
        if name.endswith((".service", ".timer", ".socket", ".path"))
    ]


def _cron_lines(tree: Tree, users: dict[str, User]) -> list[Program]:
    programs = []
    files = [_CRON_FILE, *(f"{_CRON_FOLDER}/{name}" for name in tree.names(_CRON_FOLDER) if "." not in name)]
    for path in files:
        alone = path != _CRON_FILE and len(cron.users(tree.text(path) or "")) == 1
        kind = OWN_CRON_LINE if alone else LINE_OF_CRON
        for number, line in enumerate(tree.lines(path), 1):
            match = _LINE.match(line.strip()) if line.strip()[:1] != "#" else None
            if match and (user := users.get(match[1])) and user.is_person:
                programs.append(Program(user.name, kind, str(Place(path, number)), match[2][:_MAX_COMMAND]))
    return programs


def files_of_cron(user: str, programs: list[Program]) -> list[Extra]:
    """Those whose lines are this user's alone."""
    own = (program.file for program in programs if (program.user, program.kind) == (user, OWN_CRON_LINE))
    paths = dict.fromkeys(place.rpartition(":")[0] for place in own)
    return [Extra(path=path, description="when programs of the account's are run") for path in paths]
