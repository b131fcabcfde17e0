"""What begins by itself and is neither a package's nor an account's: crontabs, jobs of at, timers."""

from __future__ import annotations

import os
import pwd

from ..layouts import own
from ..verbs import Thing
from . import packages
from .here import Here, thing

CRONTABS = ("/etc/cron.d/*", "/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*", "/etc/cron.monthly/*")
TIMERS = ("/etc/systemd/system/*.timer", "/usr/local/lib/systemd/system/*.timer", "/usr/lib/systemd/system/*.timer")
_OF_USERS = ("/var/spool/cron/crontabs/*",)
_JOBS = ("/var/spool/cron/atjobs/*",)


def look(here: Here) -> list[Thing]:
    """Each by its file."""
    owned, places = packages.owned(here.root), packages.matching(own.PLACES)
    found = []
    for kind, patterns in (("crontab", CRONTABS), ("timer", TIMERS)):
        found += [
            thing(kind, path, f"The {kind} {path} belongs to no account and no package.")
            for path, file in here.found(patterns)
            if file.is_file()
            and not file.is_symlink()
            and os.fsencode(path) not in owned
            and not places.match(os.fsencode(path))
            and not path.endswith("/.placeholder")
        ]
    found += [
        thing("crontab", path, f"The crontab of {file.name} ({path}) belongs to no account.")
        for path, file in here.found(_OF_USERS)
        if file.is_file() and file.name not in here.names
    ]
    return found + [
        thing("crontab", path, f"A job of at, of the user {_user(file.stat().st_uid)}, waits in {path}.")
        for path, file in here.found(_JOBS)
        if file.is_file() and not file.name.startswith(".") and file.stat().st_uid not in here.users
    ]


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
