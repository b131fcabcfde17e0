"""Starts and ends the visitors on the visitor host, and asks them what they saw."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import state
from lab.say import LabError
from lab.state import STATE
from lab.topology import RESOLVER, VISITOR

LOGS = STATE / "visitors"
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Asked:
    """What the visitors ask: account -> domain, address -> password, the IPs, and the CA they trust."""

    sites: dict[str, str]
    mailboxes: dict[str, str]
    ips: list[str]
    ca: Path

    @property
    def boxes(self) -> list[str]:
        """ACCOUNT=ADDRESS of every mailbox; an account's mail is at its site's domain."""
        of = {domain: account for account, domain in self.sites.items()}
        return [f"{of[address.rpartition('@')[2]]}={address}" for address in self.mailboxes]


NAMES = ("visitor-resolving", "visitor-sticking", "visitor-mail", "visitor-ip")


def start(asked: Asked, rate: float = 3.0, mails: float = 1.0, every_ms: float = 5.0) -> None:
    """Starts all four; those that run are left alone.

    `rate`: requests a second of each site by each of the two web visitors; `mails`: messages a second;
    `every_ms`: between two probes of an IP.
    """
    sites = [word for account, domain in asked.sites.items() for word in ("--site", f"{account}={domain}")]
    ips = [word for ip in asked.ips for word in ("--address", ip)]
    boxes = [word for box in asked.boxes for word in ("--box", box)]
    web = ["web", "--ca", str(asked.ca), "--rate", str(rate), *sites]
    _start("visitor-resolving", *web, "--name", "resolving", "--resolver", RESOLVER)
    _start("visitor-sticking", *web, "--name", "sticking", *ips)
    if boxes:
        _start("visitor-mail", "mail", "--rate", str(mails), *boxes, "--resolver", RESOLVER)
    _start("visitor-ip", "ip", "--every", str(every_ms), *ips)


def _start(name: str, program: str, *argv: str) -> None:
    command = [sys.executable, "-m", f"lab.visitors.{program}", "--log", str(LOGS / f"{name}.jsonl"), *argv]
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY)}
    state.spawn(name, command, netns=VISITOR, env=env)


def stop() -> None:
    """Ends the visitors; answers under way are given their time."""
    state.end(NAMES, patience=20)


def running() -> list[str]:
    """Which of them run."""
    return [name for name in NAMES if state.alive(name)]


def logs() -> list[Path]:
    """Their logs."""
    return sorted(LOGS.glob("*.jsonl"))


def final_check(asked: Asked) -> dict[str, dict[str, Any]]:
    """Compares what visitors were told is written with what is there: see `lab.visitors.final_check`."""
    question = {
        "logs": [str(path) for path in logs()],
        "resolver": RESOLVER,
        "ca": str(asked.ca),
        "sites": asked.sites,
        "mailboxes": asked.mailboxes,
    }
    command = state.in_ns(VISITOR, [sys.executable, "-m", "lab.visitors.final_check"])
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, env=env)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise LabError(f"What the visitors wrote could not be read back: {last}")
    return json.loads(done.stdout)


def asked_of(filled: Iterable[Any], ips: Iterable[str], ca: Path) -> Asked:
    """What to ask of these accounts (`lab.accounts.Filled`)."""
    accounts = list(filled)
    return Asked(
        sites={account.account: account.domains[0] for account in accounts},
        mailboxes={address: word for account in accounts for address, word in account.mailboxes.items()},
        ips=list(ips),
        ca=ca,
    )
