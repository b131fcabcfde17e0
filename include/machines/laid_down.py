"""What lies on every fresh server, whichever driver installs it: the tree's folders, and these files beside them."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from include.agent.host import entrance
from include.catalogue import infrastructures
from include.catalogue.infrastructures import Infrastructure
from include.hosts.package import authorized_line, launcher
from include.machines.host_keys import HostKey
from include.machines.interface import MachineError, MachineSpec

REPOSITORY = Path(__file__).resolve().parents[2]
MAX_SESSIONS = 60
"""Of one connection: a move's calls side by side are sessions of it."""
MAX_STARTUPS = 100
"""Connections that are not through their log-in yet; by default sshd drops some of more than ten at random."""
SSHD = f"""\
PasswordAuthentication no
PermitRootLogin prohibit-password
UseDNS no
# A move's key forwards nothing, and nobody else needs sockets of this server.
AllowStreamLocalForwarding no
MaxSessions {MAX_SESSIONS}
MaxStartups {MAX_STARTUPS}
"""


@dataclass(frozen=True)
class LaidFile:
    """A file of a fresh server, root's."""

    path: str
    content: str | bytes
    mode: int = 0o644


def declared(infrastructure: str, repository: Path = REPOSITORY) -> Infrastructure:
    """The infrastructure of that name. Raises MachineError where nothing declares it."""
    by_name = infrastructures.load(repository / "config" / "infrastructures")
    if infrastructure not in by_name:
        raise MachineError(f"Nothing declares infrastructure {infrastructure!r}: use one of {', '.join(by_name)}.")
    return by_name[infrastructure]


def trees(infrastructure: str, repository: Path = REPOSITORY) -> tuple[Path, ...]:
    """The folders whose files lie on a server of the infrastructure, the later ones over the earlier; none where the
    server is the host's own, which `prepare` lays ours down on."""
    if declared(infrastructure, repository).layout != "native":
        return ()
    return repository / "infrastructure" / "common", repository / "infrastructure" / infrastructure


def files(
    spec: MachineSpec,
    infrastructure: str,
    authorized_key: str,
    host_keys: Sequence[HostKey],
    resolver: str,
    repository: Path = REPOSITORY,
) -> Iterator[LaidFile]:
    """Names, name server, sshd's keys and settings, whose front is believed, and the one key that runs the launcher and
    nothing else."""
    lines = ("127.0.0.1 localhost", "::1 localhost", f"{spec.lan_address} {spec.name}.example {spec.name}")
    network = ipaddress.ip_network(f"{spec.management_address}/24", strict=False)
    more = declared(infrastructure, repository).sshd.format(network=network)
    yield LaidFile("/etc/hostname", f"{spec.name}\n")
    yield LaidFile("/etc/hosts", "\n".join(lines) + "\n")
    yield LaidFile("/etc/resolv.conf", f"nameserver {resolver}\noptions timeout:1 attempts:2\n")
    yield LaidFile("/etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    for key in host_keys:
        yield LaidFile(key.path, key.private, 0o600)
        yield LaidFile(f"{key.path}.pub", f"{key.public} {spec.name}\n")
    shown = "".join(f"HostKey {key.path}\n" for key in host_keys)
    yield LaidFile("/etc/ssh/sshd_config.d/management.conf", f"{shown}{SSHD}{more}\n")
    yield LaidFile("/etc/transhumance/front/peers.lst", f"{network}\n")
    yield LaidFile(entrance.KEYS, f"{authorized_line(authorized_key)}\n", 0o600)
    yield LaidFile(entrance.LAUNCHER, launcher(), 0o755)
