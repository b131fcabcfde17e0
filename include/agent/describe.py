"""What a server says of itself: versions, room, accounts; and whether anything of a customer is left on it."""

import hashlib
import os
import platform
import pwd
import shutil
import socket
from pathlib import Path
from typing import Any

from . import layouts
from .account.accounts import Account, all_accounts, standing, unreadable
from .account.file_values import is_number
from .host import server_role, system
from .host.system import AGENT, run
from .layouts import forward, front, mail
from .move import stores
from .stores.files.store import FILES

SERVICES = ("ssh", *layouts.SERVICES, *(engine.service for engine in stores.ENGINES))


def debian() -> tuple[str, str]:
    """Debian's release ("12") and point release ("12.11")."""
    release = platform.freedesktop_os_release().get("VERSION_ID", "")
    return release, Path("/etc/debian_version").read_text().strip()


def versions() -> dict[str, str]:
    """The version of each part of the infrastructure, as the part itself tells it."""

    def said(argv: list[str], word: int) -> str:
        words = run(argv, check=False).stdout.decode(errors="replace").split()
        return words[word].strip(",") if len(words) > word else ""

    rsync = said(["rsync", "--version"], 2)
    return {
        "debian": debian()[1],
        **{engine.name: engine.full_version() for engine in stores.ENGINES},
        "php": said(["php", "-r", "echo PHP_VERSION;"], 0),
        "python": platform.python_version(),
        "rsync": rsync,
    }


def describe() -> dict[str, Any]:
    """Everything the orchestrator wants to know of a server, in one reply."""
    total, _, free = shutil.disk_usage("/home")
    accounts = all_accounts()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "hostname": socket.gethostname(),
        "debian": debian()[0],
        "versions": versions(),
        "services_down": services_down(),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "agent_digest": hashlib.sha256(AGENT.read_bytes()).hexdigest(),
        "disk": {"total_bytes": total, "free_bytes": free},
        "memory_bytes": memory,
        "cpus": os.cpu_count() or 1,
        "test_server": server_role.domain(),
        "accounts": [describe_account(account) for account in accounts if not account.part],
        "parts": [describe_account(account) for account in accounts if account.part],
        "unclaimed": unclaimed(accounts),
    }


def services_down() -> list[str]:
    """Those of a server's services that do not run."""
    states = system.run(["systemctl", "is-active", *SERVICES], check=False).stdout.decode().split()
    return [name for name, state in zip(SERVICES, states, strict=True) if state != "active"]


def describe_account(account: Account) -> dict[str, Any]:
    state = standing(account.name)
    content = ""
    for path in (system.CRONTABS / account.name, account.directory / "crontab"):
        if path.is_file():
            content = path.read_text(errors="replace")
            break
    statement = account.to_json()
    return {
        "account": account.name,
        "state": state.state,
        "epoch": state.epoch,
        "move": state.move,
        "to": state.to,
        "released": state.released,
        "since": state.since,
        **({"test": state.test} if state.state == "test" else {}),
        "engines": {
            engine: {key: there[key] for key in ("to", "move", "epoch", "released", "left", "since")}
            for engine, there in state.engines.items()
        },
        "sites": statement["sites"],
        **{engine.name: {**statement[engine.name], **engine.describe(account)} for engine in stores.ENGINES},
        "mailboxes": [mailbox.address for mailbox in account.mailboxes],
        "forwarders": [forwarder.address for forwarder in account.forwarders],
        "crontab_lines": system.crontab_lines(content),
        "certificates": sorted(front.certificates(account)),
        "forwarded": forward.counts(account),
        **FILES.describe(account),
        "account_file": statement,
    }


def unclaimed(accounts: list[Account]) -> dict[str, list[str]]:
    """Databases and users that are no account's, not even left behind by the move of an engine."""
    names = {account.name for account in accounts}
    users = {entry.pw_name for entry in pwd.getpwall() if is_number(entry.pw_uid)}
    homes = in_use(Path("/home"))
    databases = {}
    for engine in stores.ENGINES:
        claimed = {name for account in accounts for name in account.names(engine.name, "databases")}
        databases[engine.name] = sorted({*engine.databases()} - claimed - _left(accounts, engine.name))
    return {
        **databases,
        "users": sorted((users | homes) - names),
    }


def in_use(homes: Path) -> set[str]:
    """The names there that may be somebody's: all but empty folders and what keeps the quotas of that disk."""
    return {entry.name for entry in homes.iterdir() if entry.name not in _OF_QUOTAS and not _is_empty(entry)}


_OF_QUOTAS = {"aquota.user", "aquota.group", "quota.user", "quota.group"}


def _is_empty(path: Path) -> bool:
    """Of a folder; what is none, or does not answer, is not known to be."""
    try:
        return not os.listdir(path)
    except OSError:
        return False


def _left(accounts: list[Account], engine: str) -> set[str]:
    """The databases that stay behind here, locked, of accounts whose databases of this engine live elsewhere."""
    moved = [standing(account.name).engines.get(engine, {}) for account in accounts]
    return {name for there in moved for name in (there.get("left") or {"databases": []})["databases"]}


def prove_empty() -> dict[str, Any]:
    """{"empty", "because"}: each thing of a customer that is here and nowhere else, one sentence each."""
    accounts = all_accounts()
    because = []
    for account in accounts:
        state = standing(account.name)
        if state.state != "moved" or not state.released:
            because.append(f"The account {account.name} is {state.state} here.")
    because += [said for name, said in unreadable().items() if name not in {account.name for account in accounts}]
    found = unclaimed(accounts)
    for engine in stores.ENGINES:
        because += [f"The {engine.title} database {name!r} belongs to no account." for name in found[engine.name]]
    because += [f"The user or home {name!r} belongs to no account." for name in found["users"]]
    if queued := mail.queue():
        because.append(f"{len(queued)} messages are in the mail queue.")
    return {"empty": not because, "because": because}
