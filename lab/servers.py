"""The lab's servers: installed, wiped, looked into."""

from __future__ import annotations

import os
import time
from pathlib import Path

from include.machines import Installed, LxcMachines
from include.machines.lxc import processes_on
from lab import state
from lab.say import LabError
from lab.state import CACHE, STATE
from lab.topology import RESOLVER, ROUTER, SERVERS, server

CGROUPS = Path("/sys/fs/cgroup")


_BOOT_SECONDS = 240
"""The machine's few processors are every server's, so one that boots beside many others may take minutes."""


def machines() -> LxcMachines:
    """What installs servers of the lab; its key is the lab's `ops` key."""
    ours = state.public_key("ops")
    return LxcMachines(STATE, CACHE, ours, netns=ROUTER, resolver=RESOLVER, boot_seconds=_BOOT_SECONDS)


def install(name: str, infrastructure: str) -> Installed:
    """Install a server unless it runs this infrastructure already."""
    return machines().install(server(name).spec, infrastructure)


def start_installed() -> list[str]:
    """Switch on every installed server that is off (the machine was rebooted). Returns their names."""
    ours = machines()
    off = [name for name in SERVERS if ours.infrastructure(name) and not ours.running(name)]
    for name in off:
        ours.start(server(name).spec)
    return off


def down() -> None:
    """Stop every server and remove what they hold, known to the topology or not."""
    if not (STATE / "servers").is_dir():
        return
    if state.KEYS.is_dir() and Path(f"/run/netns/{ROUTER}").exists():
        for name in SERVERS:
            if (STATE / "servers" / name).exists():
                machines().wipe(server(name).spec)
    for home in (STATE / "servers").iterdir():
        until = time.monotonic() + 20
        while home.is_dir() and (pids := processes_on(home / "delta")):
            if time.monotonic() > until:
                raise LabError(f"{home.name} cannot be stopped: its processes {pids} do not end; look at them.")
            for pid in pids:
                state.send(pid, 9)
            time.sleep(0.05)


def remove_cgroups() -> None:
    """Remove the control groups of servers that were killed from outside (LXC removes those it stops)."""
    hierarchies = [CGROUPS, *(p for p in CGROUPS.iterdir() if p.is_dir())] if CGROUPS.is_dir() else []
    for hierarchy in hierarchies:
        for folder, _, _ in os.walk(hierarchy / "transhumance", topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass  # still in use, or gone meanwhile
