"""What a server says of itself: versions, room, accounts; and whether anything of a customer is left on it."""

import hashlib
import os
import platform
import shutil
import socket
from collections.abc import Collection
from pathlib import Path

from . import layouts
from .account.accounts import Account, all_accounts, standing, unreadable
from .host import server_role, system
from .host.system import AGENT, run
from .layouts import forward, front, mail
from .move import stores
from .readiness import readiness
from .stores.files.store import FILES
from .unclaimed import look
from .unclaimed.claims import names_unclaimed
from .verbs import Emptiness, Signed
from .verbs.described import Description, Disk, Entry

SERVICES = ("ssh", *layouts.SERVICES, *(engine.service for engine in stores.ENGINES))


def debian() -> tuple[str, str]:
    """Debian's release ("12") and point release ("12.11")."""
    release = platform.freedesktop_os_release().get("VERSION_ID", "")
    return release, Path("/etc/debian_version").read_text().strip()


def versions() -> dict[str, str]:
    """The version of each part of the infrastructure, as the part itself tells it."""

    def word_of(argv: list[str], word: int) -> str:
        words = run(argv, check=False).stdout.decode(errors="replace").split()
        return words[word].strip(",") if len(words) > word else ""

    rsync = word_of(["rsync", "--version"], 2)
    return {
        "debian": debian()[1],
        **{engine.name: engine.full_version() for engine in stores.ENGINES},
        "php": word_of(["php", "-r", "echo PHP_VERSION;"], 0),
        "python": platform.python_version(),
        "rsync": rsync,
    }


def describe() -> Description:
    """Everything the orchestrator wants to know of a server, in one reply."""
    total, _, free = shutil.disk_usage("/home")
    accounts = all_accounts()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Description(
        hostname=socket.gethostname(),
        debian=debian()[0],
        versions=versions(),
        services_down=services_down(),
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        agent_digest=hashlib.sha256(AGENT.read_bytes()).hexdigest(),
        disk=Disk(total_bytes=total, free_bytes=free),
        memory_bytes=memory,
        cpus=os.cpu_count() or 1,
        test_server=server_role.domain(),
        accounts=[describe_account(account) for account in accounts if not account.part],
        parts=[describe_account(account) for account in accounts if account.part],
        unclaimed=names_unclaimed(accounts),
        unreadable=sorted(unreadable()),
        readiness=readiness(),
        layout=layouts.in_force(),
    )


def services_down() -> list[str]:
    """Those of a server's services that do not run."""
    states = system.run(["systemctl", "is-active", *SERVICES], check=False).stdout.decode().split()
    return [name for name, state in zip(SERVICES, states, strict=True) if state != "active"]


def describe_account(account: Account) -> Entry:
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
            engine: {key: moved[key] for key in ("to", "move", "epoch", "released", "left", "since")}
            for engine, moved in state.engines.items()
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


def prove_empty(signed: Collection[Signed] = ()) -> Emptiness:
    """Whether anything of a customer, or of nobody, is here and nowhere else, but for what was signed for."""
    because = []
    for account in all_accounts():
        state = standing(account.name)
        if state.state != "moved" or not state.released:
            because.append(f"The account {account.name} is {state.state} here.")
    unclaimed = look.look()
    signed_for = {(each.kind, each.name) for each in signed}
    because += [each.sentence for each in unclaimed if (each.kind, each.name) not in signed_for]
    if queued := mail.queue():
        because.append(f"{len(queued)} messages are in the mail queue.")
    return Emptiness(empty=not because, because=because, unclaimed=unclaimed)
