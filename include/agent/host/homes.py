"""Where homes are filled by another server, no file gives its rights to whoever runs it, and a device is no device.

rsync is told to leave such things behind. This does not depend on it, nor on the other server."""

from __future__ import annotations

import os
from pathlib import Path

from .system import AGENT, run, write_if_changed

_HOMES = "/home"
_PLAIN = os.ST_NOSUID | os.ST_NODEV
_UNIT_NAME = "transhumance-homes.service"
_UNIT = f"""[Unit]
Description=No file in a home gives its rights to whoever runs it
DefaultDependencies=no
RequiresMountsFor={_HOMES}
After=local-fs.target
Before=sysinit.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 {AGENT} homes

[Install]
WantedBy=sysinit.target
"""


def keep_plain() -> None:
    """From now on, and from the beginning of every boot; can be repeated, and costs nothing then."""
    if are_plain():
        return
    if write_if_changed(Path("/etc/systemd/system") / _UNIT_NAME, _UNIT):
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "enable", "--quiet", _UNIT_NAME])
    make_plain()


def are_plain() -> bool:
    """Whether it is so at this moment."""
    return os.statvfs(_HOMES).f_flag & _PLAIN == _PLAIN


def make_plain() -> None:
    """For as long as this server runs."""
    if are_plain():
        return
    if not os.path.ismount(_HOMES):
        run(["mount", "--rbind", _HOMES, _HOMES])
    run(["mount", "-o", "remount,bind,nosuid,nodev", _HOMES])
