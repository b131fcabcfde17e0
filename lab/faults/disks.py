"""Small disks of their own for what a move writes on a server, so that they can be filled and nobody else's are.

Homes and the agent's own records lie on ext4 images that a unit of the server mounts at each boot.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from lab import servers

PLACES = {"/home": 64, "/var/lib/transhumance": 24}
"""Where such a disk is mounted, and its size in MiB."""
_UNIT = """[Unit]
Description=Small disks of the lab
DefaultDependencies=no
After=local-fs.target systemd-tmpfiles-setup-dev.service
Before=sysinit.target transhumance-homes.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/small-disks

[Install]
WantedBy=sysinit.target
"""
_SCRIPT = """#!/bin/sh
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
for number in $(seq 0 127); do [ -e /dev/loop$number ] || mknod /dev/loop$number b 7 $number; done
{mounts}
"""


def give(server: str) -> None:
    """Put the small disks into a server that was just installed."""
    mounts = []
    for place, mebibytes in PLACES.items():
        image = f"/var/{place.strip('/').replace('/', '-')}.img"
        _write(server, image, _made(mebibytes), 0o600)
        mounts.append(f"df {place} | grep -q /dev/loop || mount -o loop {image} {place}")
    _write(server, "/etc/systemd/system/small-disks.service", _UNIT.encode(), 0o644)
    _write(server, "/usr/local/sbin/small-disks", _SCRIPT.format(mounts="\n".join(mounts)).encode(), 0o755)
    _execute(server, ["mkdir", "-p", *PLACES])
    _execute(server, ["systemctl", "enable", "--now", "--quiet", "small-disks.service"])


def fill(server: str) -> None:
    """Not a byte more can be written to them."""
    for place, mebibytes in PLACES.items():
        # A disk that is larger is not one of these, and may be this machine's.
        filled = f"head -c {mebibytes}M /dev/zero > {place}/.full 2> /dev/null && exit 1; true"
        _execute(server, ["sh", "-c", filled])


def empty(server: str) -> None:
    """There is room again."""
    for place in PLACES:
        _execute(server, ["rm", "-f", f"{place}/.full"])


def _made(mebibytes: int) -> bytes:
    with tempfile.NamedTemporaryFile() as image:
        image.truncate(mebibytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image.name], check=True)
        return Path(image.name).read_bytes()


def _write(server: str, path: str, content: bytes, mode: int) -> None:
    _execute(server, ["sh", "-c", f"cat > {path} && chmod {mode:o} {path}"], content)


def _execute(server: str, argv: list[str], stdin: bytes | None = None) -> None:
    done = servers.machines().execute(server, argv, stdin=stdin, seconds=120)
    if done.returncode:
        raise AssertionError(f"{argv} on {server} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
