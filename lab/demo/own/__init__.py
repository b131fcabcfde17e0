"""The first day of a host with a server of its own: filled by others, nothing of ours on it, and then what
docs/adopting.md says, command by command, as it stands there."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from lab import airflow, names, servers, state
from lab.accounts import Filled, Server
from lab.classic import customers
from lab.demo.inside import inside
from lab.demo.stage import ORIGINAL, executor
from lab.say import LabError, say, step
from lab.topology import OPS, server

FOLDER = Path(__file__).parent
"""Commands are typed here: beside the host's inventory."""
REPOSITORY = FOLDER.parents[2]
PAGE = REPOSITORY / "docs" / "adopting.md"
OLD, NEW = "2022-classic", "2026-classic"
ENTRY = "infrastructure-2026-classic"
LAUNCHER = "/usr/local/lib/transhumance"
ACCESS = "root_access"
"""Airflow's connection by which the host logs in as root."""


def install_and_fill() -> dict[str, Filled]:
    """The host's server with its customers, as the host made it, and their names in the host's DNS."""
    with step(f"{ORIGINAL} installed with {OLD}: Debian's packages, and nothing of ours"):
        servers.install(ORIGINAL, OLD)
        _without_ours()
    with step("its customers are there"):
        filled = {each.account: each for each in customers.fill(Server(executor(ORIGINAL), lambda _: None))}
    zone = names.client()
    for account in filled.values():
        for fqdn, kind, value, ttl in account.names(*server(ORIGINAL).ips):
            inside(OPS, zone.point, fqdn, kind, None, value, ttl)
    return filled


def _without_ours() -> None:
    """Take away what the lab's installation has laid down of ours; the host has a key of its own, and its addresses."""
    execute = executor(ORIGINAL)
    execute(["rm", "-rf", LAUNCHER, "/etc/transhumance"])
    execute(["tee", "/root/.ssh/authorized_keys"], f"{state.public_key('host')}\n".encode())
    for ip in server(ORIGINAL).ips:
        execute(["ip", "address", "replace", f"{ip}/{128 if ':' in ip else 32}", "dev", "lo"])


def let_airflow_in() -> None:
    """Airflow has the host's own access as root."""
    airflow.connect(
        {
            "conn_id": ACCESS,
            "conn_type": "ssh",
            "login": "root",
            "extra": {"key_file": str(state.key("host")), "look_for_keys": "false"},
        }
    )


def commands() -> list[str]:
    """Those of the page, in its order."""
    lines = PAGE.read_text().splitlines()
    return [line.removeprefix("    ") for line in lines if line.startswith("    python -m cli ")]


def until_signed() -> list[str]:
    """The commands up to the one that signs for what is no account's."""
    every = commands()
    return every[: next(at for at, command in enumerate(every) if command.startswith("python -m cli sign ")) + 1]


def type_in(command: str) -> str:
    """Types a command where the host's ops sit; gives what it shows. Raises LabError with what it complains of. The
    doctor's complaints are what it is asked for."""
    url, user, password = airflow.login()
    words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, *words[1:]],
        cwd=FOLDER,
        env={
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
            "PYTHONPATH": str(REPOSITORY),
            "TRANSHUMANCE_URL": url,
            "TRANSHUMANCE_USER": user,
            "TRANSHUMANCE_PASSWORD": password,
        },
        input="y\n",  # applying an inventory asks whether it may
        capture_output=True,
        text=True,
    )
    if done.returncode and not (done.stdout and command.startswith("python -m cli doctor ")):
        raise LabError(f"{command}: {(done.stderr.strip() or done.stdout.strip())[-2000:]}")
    return done.stdout


def follow_the_page() -> None:
    """Everything up to a server whose accounts are adopted, and whose other things are signed for."""
    let_airflow_in()
    for command in until_signed():
        with step(f"$ {command}"):
            shown = type_in(command)
        for line in filter(_is_news, shown.rstrip().splitlines()):
            say(f"    {line.rstrip()}")
        if command.startswith("python -m cli sign "):
            sign_the_rest(command)


def _is_news(line: str) -> bool:
    """What of a table is worth a line here: of the doctor's requirements those that are not met."""
    return bool(line.strip()) and "  yes  " not in line


def sign_the_rest(command: str) -> None:
    """The page's command shows how one thing is signed for; there are more."""
    reason = command.rpartition("--reason ")[2]
    answer = json.loads(type_in(f"python -m cli unclaimed {ORIGINAL} --json"))
    for unsigned in answer["unclaimed"]:
        if not unsigned["signed_by"]:
            words = [ORIGINAL, unsigned["kind"], unsigned["name"]]
            type_in(f"python -m cli sign {shlex.join(words)} --reason {reason}")
