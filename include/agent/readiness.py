"""What of this server a move needs, as it is: the orchestrator judges it (`include/moves/requirements.py`)."""

from __future__ import annotations

import json
import shutil
import time
from typing import Any

from . import layouts
from .account.accounts import all_accounts
from .channel import pairing
from .host import entrance
from .host.system import PATH, Refused, run
from .layouts import front, provisioning
from .move import stores

PROGRAMS = ("chage", "gpasswd", "ip", "nft", "rsync", "setpriv", "ss", "ssh", "ssh-keygen", "systemd-run", "useradd")
"""Those that no engine or layout brings, and that a small Debian may lack."""


def readiness() -> dict[str, Any]:
    return {
        "time": time.time(),
        "sshd": entrance.sshd_settings(),
        "host_keys": _host_keys(),
        "addresses": _addresses(),
        "missing_programs": [name for name in PROGRAMS if shutil.which(name, path=PATH) is None],
        "unfollowed": _unfollowed(),
        "fronts": front.believed(),
        "no_front": _no_front(),
        "steps": provisioning.present(),
        "wrong_steps": provisioning.wrong()[:100],
    }


def _no_front() -> list[str]:
    """Why no front of ours can stand before the web server that the host has; nothing where our own layout has one."""
    native = layouts.in_force() == "native"
    return [] if native and all_accounts() else layouts.unfit_for_front()[:100]


def _host_keys() -> list[str]:
    try:
        return [key for key in pairing.host_keys() if pairing.HOST_KEY.fullmatch(key)]
    except FileNotFoundError:
        return []


def _addresses() -> list[str]:
    """Every address of this server but those of the loopback's own networks and of single links."""
    links = json.loads(run(["ip", "-json", "address", "show"], check=False).stdout or b"[]")
    entries = [entry for link in links for entry in link.get("addr_info", ()) if entry.get("scope") == "global"]
    return sorted({entry["local"] for entry in entries})[:1000]


def _unfollowed() -> dict[str, str]:
    """Why each engine's databases could not be followed while their accounts serve, and what to do; one that does not
    answer is not judged by it."""
    sentences = {}
    for engine in stores.ENGINES:
        try:
            obstacle = engine.unfollowed()
        except Refused:
            continue
        if obstacle is not None:
            sentences[engine.name] = f"{obstacle.why}: {obstacle.remedy}."
    return sentences
