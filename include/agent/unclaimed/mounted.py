"""What is mounted beside what a system has: disks, shares and folders that a reinstallation would not bring back."""

from __future__ import annotations

import re

from ..host import homes, mounts
from ..verbs import Unclaimed
from . import containers, debian
from .here import Here, unclaimed

KIND = "mount"
_OF_THE_KERNEL = frozenset(
    "autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nsfs "
    "proc pstore ramfs rpc_pipefs securityfs selinuxfs sysfs tracefs".split()
)
_OF_THE_SYSTEM = re.compile(r"/(proc|sys|dev|run|snap)(/|\Z)")


def look(here: Here) -> list[Unclaimed]:
    """What is mounted, below homes or anywhere else."""
    own_homes = {f"/home/{name}" for name in here.unreadable} | here.folders
    # The folders that homes and messages lie in, which the agent makes plain.
    own_homes |= {homes.above(folder) for folder in here.folders}
    things = {}
    for mount in mounts.all_mounts():
        of_the_system = mount.kind in _OF_THE_KERNEL or _OF_THE_SYSTEM.match(mount.at) or mount.at in debian.MOUNTS
        if of_the_system or mount.at in own_homes or containers.holds(mount.at):
            continue
        source = f"{mount.source} ({mount.kind})"
        folder = "" if mount.within == "/" else f", of it the folder {mount.within},"
        things[mount.at] = unclaimed(KIND, mount.at, f"{source}{folder} is mounted at {mount.at}, and is no account's.")
    return [*things.values()]
