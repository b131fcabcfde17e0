"""What the rest of the project knows about machines, whoever makes them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Protocol

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""As the registry has it: a label of a host name."""


class MachineError(Exception):
    """A server could not be installed or wiped; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class MachineSpec:
    """A server's name and fixed addresses. Addresses are plain (no prefix length)."""

    name: str
    management_address: str
    lan_address: str
    lan_address6: str
    router_address: str
    router_address6: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise MachineError(
                f"{self.name!r} is no server name: use at most 63 of a-z, 0-9 and '-', with no '-' at its ends."
            )
        for version, field in (
            (4, "management_address"),
            (4, "lan_address"),
            (4, "router_address"),
            (6, "lan_address6"),
            (6, "router_address6"),
        ):
            value = getattr(self, field)
            try:
                right = ipaddress.ip_address(value).version == version
            except ValueError:
                right = False
            if not right:
                raise MachineError(f"{value!r} is no IPv{version} address: correct {field} of {self.name}.")


@dataclass(frozen=True)
class Installed:
    """A fresh server that answers on its management address. `host_key` is `ssh-ed25519 AAAA...`."""

    host_key: str


class Machines(Protocol):
    """What makes and remakes servers: containers, virtual machines, hardware.

    Every verb can be repeated, and cut off anywhere and repeated.
    """

    def install(self, spec: MachineSpec, infrastructure: str) -> Installed:
        """Bring the server up with this infrastructure; one that already runs it is left as it is.

        Returns when sshd answers on the management address and the services had their turn to start.
        Raises MachineError.
        """

    def reinstall(self, spec: MachineSpec, infrastructure: str, host_keys_of: str | None = None) -> Installed:
        """Destroy what the server holds, also while it runs, and install it anew: with a new SSH host key, or with the
        keys that are on the disk kept under the label `host_keys_of`. Raises MachineError, with nothing destroyed,
        where that disk has none that could be kept."""

    def wipe(self, spec: MachineSpec) -> None:
        """Stop the server and remove everything it holds; one that is already wiped stays so."""

    def there(self, spec: MachineSpec) -> Installed | None:
        """What stands there, switched on or not; None when nothing was ever laid out whole, or it is wiped."""

    def cut_power(self, spec: MachineSpec) -> None:
        """Stop the server at once; what it holds stays."""

    def keep(self, spec: MachineSpec, label: str) -> None:
        """Stop the server and put its disk aside under `label`. Nothing happens where a disk of that label is kept
        already, and where nothing is there."""

    def put_back(self, spec: MachineSpec, label: str) -> Installed:
        """Start the disk that is kept under `label` as this server, with the spec's name and addresses. What stands
        there must be kept or wiped before. Raises MachineError where there is no such disk."""

    def discard(self, label: str) -> None:
        """Remove a kept disk; one that is gone stays so."""
