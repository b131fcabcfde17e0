"""A server that Debian's packages and other tools filled, and that goes on as its host has it.

What lives there is read (`reading`). Before the web server stands a front of ours; an account's own files of the
host's configuration are carried with it (`extras`), each looked at by a judge (`judges`).
"""

from pathlib import Path

_UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_MAY_BE = ("transhumance-front", "apache2", "nginx", "postfix", "dovecot", "cron")

SERVICES = tuple(name for name in _MAY_BE if any(Path(folder, f"{name}.service").exists() for folder in _UNITS))
"""The units of systemd that it is made of: the host decides which of them there are."""
