"""The files that `prepare` lays down on a host's own server, and takes away again: those of infrastructure/classic."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...host.system import CONFIG, STATE, read_json, run, write_durably, write_if_changed
from ..certificates import CERTIFICATES
from ..haproxy import PEERS, believed
from . import web_server
from .front import FRONT

Files = Mapping[str, str]
"""Their content by their path on the server."""
_RECORD = STATE / "prepared.json"
"""Which lie here: there from before the first of them until after the last."""
_USERS, _FOLDERS = "/etc/sysusers.d/transhumance.conf", "/etc/tmpfiles.d/transhumance.conf"
_USER = "transhumance-front"
_PEERS_RULES = CONFIG / "front" / "peers.nft"
OF_PHP = re.compile(r"/etc/php/VERSION/")
"""Where VERSION stands for each one that is here."""


def are_here() -> bool:
    """Whether the server is prepared, or a preparation of it was cut off."""
    return _RECORD.exists()


def sorted_out(files: Files) -> tuple[Files, Files, Files]:
    """Those of web servers, those of PHP, and the others."""
    of_web = {str(server.visitors) for server in web_server.KNOWN}
    kinds: tuple[dict[str, str], ...] = ({}, {}, {})
    for path, content in files.items():
        kinds[0 if path in of_web else 1 if OF_PHP.match(path) else 2][path] = content
    return kinds[0], kinds[1], kinds[2]


def lay_down(files: Files) -> set[str]:
    """Have these lie here, and none of an earlier preparation beside them; which of them are new."""
    before = {*(read_json(_RECORD) or [])}
    write_durably(_RECORD, json.dumps(sorted({*before, *files})))
    new = {path for path, content in files.items() if write_if_changed(Path(path), content)}
    for path in before - {*files}:
        Path(path).unlink(missing_ok=True)
    write_durably(_RECORD, json.dumps(sorted(files)))
    run(["systemd-sysusers", _USERS])
    run(["systemd-tmpfiles", "--create", _FOLDERS])
    run(["systemctl", "daemon-reload"])
    return new


def take_away() -> None:
    """Nothing of them stays, nor what was made of them."""
    for path in read_json(_RECORD) or []:
        Path(path).unlink(missing_ok=True)
    for folder in (CONFIG / "front", CERTIFICATES):
        shutil.rmtree(folder, ignore_errors=True)
    run(["userdel", _USER], check=False)
    run(["systemctl", "daemon-reload"])
    _RECORD.unlink(missing_ok=True)


def believe(fronts: Iterable[str]) -> None:
    """Take the word of these servers' fronts on their visitors, beside those that the host has written down; and let
    no program but ours speak to them."""
    networks = [ipaddress.ip_network(text) for text in believed()]
    new = [
        address
        for address in map(ipaddress.ip_address, fronts)
        if not any(address.version == network.version and address in network for network in networks)
    ]
    if new:
        write_durably(PEERS, PEERS.read_text() + "".join(f"{address}\n" for address in new), 0o644)
        if FRONT.runs():
            for address in new:
                FRONT.command(f"add acl {PEERS} {address}")
    networks += [ipaddress.ip_network(address) for address in new]
    write_if_changed(_PEERS_RULES, "".join(_elements(networks, version) for version in (4, 6)))


def _elements(networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network], version: int) -> str:
    """The line that fills the firewall's set of them."""
    if version == 4:
        four = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
        texts = [str(network) for network in ipaddress.collapse_addresses(four)]
    else:
        six = [network for network in networks if isinstance(network, ipaddress.IPv6Network)]
        texts = [str(network) for network in ipaddress.collapse_addresses(six)]
    if not texts:
        return ""
    return f"add element inet transhumance_front peers{version} {{ {', '.join(texts)} }}\n"
