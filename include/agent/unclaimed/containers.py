"""Containers and virtual machines, by the folders that they are kept in and by what runs them. No daemon is asked."""

from __future__ import annotations

import re

from ..verbs import Unclaimed
from .here import Here, unclaimed
from .running import processes

KIND = "container"
_KEPT = {
    "/var/lib/docker/containers/*": "A container of Docker",
    "/var/lib/docker/volumes/*": "A volume of Docker",
    "/var/lib/containers/storage/overlay-containers/*": "A container of Podman",
    "/var/lib/containers/storage/volumes/*": "A volume of Podman",
    "/var/lib/containerd/io.containerd.runtime.v2.task/*/*": "A container of containerd",
    "/var/lib/lxc/*": "A container of LXC",
    "/var/lib/lxd/containers/*": "A container of LXD",
    "/var/lib/lxd/virtual-machines/*": "A virtual machine of LXD",
    "/var/snap/lxd/common/lxd/containers/*": "A container of LXD",
    "/var/snap/lxd/common/lxd/virtual-machines/*": "A virtual machine of LXD",
    "/var/lib/incus/containers/*": "A container of Incus",
    "/var/lib/incus/virtual-machines/*": "A virtual machine of Incus",
    "/var/lib/machines/*": "A machine of systemd-nspawn",
    "/var/lib/libvirt/images/*": "A disk of a virtual machine of libvirt",
}
_HOLDS = re.compile(r"/var/(lib/(docker|containers|containerd|lxc|lxd|incus|machines)|snap/lxd)(/|\Z)")
_RUN_BY = re.compile(
    r"(dockerd|containerd|containerd-shim.*|podman|conmon|crun|runc|lxc-start|lxc-monitord|lxd|incusd|systemd-nspawn|"
    r"libvirtd|virtqemud|qemu-system-.*|qemu-kvm|firecracker)\Z"
)


def holds(path: str) -> bool:
    """Whether this is a place of containers."""
    return bool(_HOLDS.match(path))


def look(here: Here) -> list[Unclaimed]:
    """Each container by the place where it is kept, and each program that runs some."""
    kept = [
        unclaimed(KIND, path, f"{kind} is kept in {path}.")
        for pattern, kind in _KEPT.items()
        for path, place in here.matches([pattern])
        if place.is_dir() or "images" in pattern
    ]
    programs = {each.program for each in processes(here) if _RUN_BY.match(each.name) and each.user not in here.users}
    return kept + [unclaimed(KIND, name, f"{name} runs here, which runs containers or machines.") for name in programs]
