"""What begins by itself and is neither a package's nor an account's: crontabs, jobs of at, timers."""

from __future__ import annotations

import os
import pwd

from ..layouts import extras, own
from ..verbs import Unclaimed
from . import packages
from .here import Here, unclaimed

CRONTABS = ("/etc/cron.d/*", "/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*", "/etc/cron.monthly/*")
TIMERS = ("/etc/systemd/system/*.timer", "/usr/local/lib/systemd/system/*.timer", "/usr/lib/systemd/system/*.timer")
_OF_USERS = ("/var/spool/cron/crontabs/*",)
_JOBS = ("/var/spool/cron/atjobs/*",)


def look(here: Here) -> list[Unclaimed]:
    """Each by its file."""
    owned, places = packages.owned(here.root), packages.matching(own.PLACES)
    accounts_own = {path for account in here.accounts for path in extras.paths(account)}
    things = []
    for kind, patterns in (("crontab", CRONTABS), ("timer", TIMERS)):
        things += [
            unclaimed(kind, path, f"The {kind} {path} belongs to no account and no package.")
            for path, file in here.matches(patterns)
            if file.is_file()
            and not file.is_symlink()
            and os.fsencode(path) not in owned
            and not places.match(os.fsencode(path))
            and path not in accounts_own
            and not path.endswith("/.placeholder")
        ]
    things += [
        unclaimed("crontab", path, f"The crontab of {file.name} ({path}) belongs to no account.")
        for path, file in here.matches(_OF_USERS)
        if file.is_file() and file.name not in here.names
    ]
    return things + [
        unclaimed("crontab", path, f"A job of at, of the user {_user(file.stat().st_uid)}, waits in {path}.")
        for path, file in here.matches(_JOBS)
        if file.is_file() and not file.name.startswith(".") and file.stat().st_uid not in here.users
    ]


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
