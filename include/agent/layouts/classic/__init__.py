"""A server that Debian's packages and other tools filled, and that goes on as its host has it.

What lives there is read (`reading`). Before the web server stands a front of ours; an account's own files of the
host's configuration are carried with it (`extras`), each looked at by a judge (`judges`).
"""

from pathlib import Path

_UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_OURS = "transhumance-front"
_MAY_BE = (_OURS, "apache2", "nginx", "postfix", "dovecot", "cron")


def _is_wanted(name: str) -> bool:
    """Whether there is such a unit, and the host has not switched it off; ours is switched on where it is."""
    has_unit = any(Path(folder, f"{name}.service").exists() for folder in _UNITS)
    return has_unit and (name == _OURS or any(Path(_UNITS[0]).glob(f"*.wants/{name}.service")))


SERVICES = tuple(filter(_is_wanted, _MAY_BE))
"""The units of systemd that it is made of: the host decides which of them there are."""
