"""Programs of an account's own that its crontab starts with `@reboot`: queue workers, an app behind ~/app.sock.

cron starts them when it starts itself. An account that comes, or that comes back from a hold which has ended them, is
in the same place as after a boot, so these lines are run then, once: as the account, with cron's environment and PAM
session, in a unit of its own. Whatever ends the account's processes ends them too.
"""

import base64
import ctypes
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..account.accounts import Account
from ..host.system import AGENT, RUNTIME, run

_STARTED = RUNTIME / "reboot-lines"
_AT_JOBS = Path("/var/spool/cron/atjobs")
_MAIL_OF_USERS = Path("/var/mail")
_ASSIGNED = re.compile(r"""\s*(?:"([^"=]+)"|'([^'=]+)'|([^\s"'=#@*]+))\s*=\s*(.*?)\s*\Z""")
_LINE = re.compile(r"\s*@reboot\s+(.+)\Z")
_PR_SET_CHILD_SUBREAPER = 36
# Words of a systemd unit are bounded; nobody's @reboot lines come near it.
_MAX_BYTES = 90_000


def of(crontab: str) -> list[dict[str, Any]]:
    """[{"command", "input", "set": the variables that stand before it}] of each such line, as cron reads them."""
    commands: list[dict[str, Any]] = []
    variables: dict[str, str] = {}
    for line in crontab.splitlines():
        if line.lstrip().startswith("#"):
            continue
        if started := _LINE.match(line):
            command, _, stdin_text = re.sub(r"(?<!\\)%", "\n", started[1]).replace("\\%", "%").partition("\n")
            commands.append({"command": command, "input": stdin_text, "set": {**variables}})
        elif set_ := _ASSIGNED.match(line):
            value = set_[4]
            if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1:
                value = value[1:-1]
            variables[set_[1] or set_[2] or set_[3]] = value
    return commands


def left_behind(account: Account) -> list[str]:
    """What else is the account's outside its home and does not come over, in sentences."""
    sentences = []
    try:
        waiting = sum(job.stat(follow_symlinks=False).st_uid == account.uid for job in os.scandir(_AT_JOBS))
    except FileNotFoundError:
        waiting = 0
    if waiting:
        sentences.append(
            f"{waiting} of {account.name}'s jobs of at(1) or batch are still to come (atq lists them); they are not"
            " carried. Give them to at again on the new server, or let them run before the move."
        )
    with suppress(FileNotFoundError):
        if size := (_MAIL_OF_USERS / account.name).stat(follow_symlinks=False).st_size:
            sentences.append(
                f"Mail to {account.name} itself, from cron or back from where its site wrote to, is not carried"
                f" ({size} bytes in {_MAIL_OF_USERS / account.name}). Copy what you need of it to your home."
            )
    return sentences


def start(account: Account, crontab: bytes) -> None:
    """Start what these lines start; nothing is waited for, and nothing of it keeps the account shut."""
    lines = of(crontab.decode("utf-8", "surrogateescape"))
    task = json.dumps({"home": account.home, "name": account.name, "lines": lines}).encode()
    if not lines or len(task) > _MAX_BYTES:
        return
    properties = {
        "User": account.name,
        "PAMName": "cron",
        "StandardInput": "data",
        "StandardInputData": base64.b64encode(task).decode(),
        "StandardOutput": "null",
        "StandardError": "null",
    }
    unit = ["systemd-run", "--quiet", "--collect", "--no-block", f"--description=@reboot lines of {account.name}"]
    unit += [f"--property={key}={value}" for key, value in properties.items()]
    run([*unit, "/usr/bin/python3", str(AGENT), "reboot-lines"], check=False)


def start_once(account: Account, crontab: bytes) -> None:
    """The same for a copy whose crontab stays aside: once, and again after a boot of this server."""
    _STARTED.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = _STARTED / account.name
    if not mark.exists():
        mark.touch()
        start(account, crontab)


def forget(account: Account) -> None:
    """The account is removed here."""
    (_STARTED / account.name).unlink(missing_ok=True)


def main() -> None:
    """Run the lines that stdin holds; already the account's user, with nothing but its rights.

    What a line leaves running stays, as under cron: the unit would end it, so it lasts as long as any of it."""
    task = json.load(sys.stdin)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.umask(0o022)
    os.chdir(task["home"])
    own = {"HOME": task["home"], "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    named = {"LOGNAME": task["name"], "USER": task["name"]}
    for line in task["lines"]:
        environment = {**own, **line["set"], **named}
        _begin(environment, line["command"], line["input"])
    with suppress(ChildProcessError):
        while True:
            os.wait()


def _begin(environment: dict[str, str], command: str, stdin_text: str) -> None:
    try:
        process = subprocess.Popen(
            [environment["SHELL"], "-c", command],
            env=environment,
            cwd=environment["HOME"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin
        with process.stdin as stdin:
            stdin.write(stdin_text.encode("utf-8", "surrogateescape"))
    except (OSError, ValueError) as error:
        print(f"A line of the crontab was not started: {error}", file=sys.stderr)
