"""The router's sshd: the way in from th-ops for a key that may look at routes and replace service IPs'."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from lab import state
from lab.say import LabError
from lab.state import STATE, in_ns, run, spawn
from lab.topology import OPS, ROUTER, ROUTER_MANAGEMENT

HOME = STATE / "router"
KNOWN_HOSTS = HOME / "known_hosts"
PRIVILEGE_SEPARATION = Path("/run/sshd")  # sshd insists on this directory; removed with the lab if we made it
SSHD = """\
ListenAddress {address}
Port 22
PidFile none
HostKey {home}/ssh_host_ed25519_key
AuthorizedKeysFile {home}/authorized_keys
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin forced-commands-only
UsePAM yes
UseDNS no
PrintMotd no
PrintLastLog no
"""


def up() -> None:
    """Start the router's sshd."""
    HOME.mkdir(mode=0o755, exist_ok=True)
    host_key = HOME / "ssh_host_ed25519_key"
    if not host_key.with_suffix(".pub").exists():
        host_key.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "router", "-f", str(host_key)])
    command = HOME / "route_command.py"
    shutil.copy(Path(__file__).with_name("route_command.py"), command)
    forced = f'restrict,command="/usr/bin/python3 -I {command}"'
    (HOME / "authorized_keys").write_text(f"{forced} {state.public_key('router')}\n")
    KNOWN_HOSTS.write_text(f"{ROUTER_MANAGEMENT} {host_public_key()}\n")
    (HOME / "sshd_config").write_text(SSHD.format(address=ROUTER_MANAGEMENT, home=HOME))
    if not PRIVILEGE_SEPARATION.is_dir():
        PRIVILEGE_SEPARATION.mkdir(mode=0o755)
        (HOME / "made-run-sshd").touch()
    spawn("router-sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", str(HOME / "sshd_config")], netns=ROUTER)
    until = time.monotonic() + 10
    while True:
        try:
            execute(["ip", "route", "show", "198.51.100.11/32"])
            return
        except LabError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def down() -> None:
    """Remove what the router's sshd needed outside the lab's own directories."""
    if (HOME / "made-run-sshd").exists() and PRIVILEGE_SEPARATION.is_dir():
        if not os.listdir(PRIVILEGE_SEPARATION):
            PRIVILEGE_SEPARATION.rmdir()


def host_public_key() -> str:
    """The router's host key, `ssh-ed25519 AAAA...`, to pin."""
    return " ".join((HOME / "ssh_host_ed25519_key.pub").read_text().split()[:2])


def execute(argv: list[str]) -> str:
    """Run one permitted command on the router over SSH, from th-ops. Raises LabError with what it said."""
    options = [
        "-F",
        "none",
        "-i",
        str(state.key("router")),
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
    ]
    pinned = ["-o", f"UserKnownHostsFile={KNOWN_HOSTS}", "-o", "StrictHostKeyChecking=yes"]
    target = ["-o", "ConnectTimeout=5", f"root@{ROUTER_MANAGEMENT}", "--", *argv]
    done = subprocess.run(
        in_ns(OPS, ["ssh", *options, *pinned, *target]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise LabError(f"The router refused {' '.join(argv)}: {done.stderr.strip()[-400:]}")
    return done.stdout
