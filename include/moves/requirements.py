"""What a server has to have for a move: each stands here once. The doctor tells all of it; what `refuses` stops a run.

All of it is judged by what the server's agent says of itself, which nobody believes further than that: none of it is a
reason to trust a server.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from include import registry
from include.agent.account.engines import DECLARED
from include.agent.host.digest import printable
from include.agent.host.needs import PYTHON, RSYNC, release, short_of
from include.catalogue import infrastructures
from include.machines.laid_down import MAX_SESSIONS, MAX_STARTUPS

CLOCK_SECONDS = 2.0
"""So far may a server's clock be from the orchestrator's: by it the registry knows when an account has left."""
ROOM_SHARE, ROOM_BYTES = 0.05, 1 << 30
KEYS_FILE = ".ssh/authorized_keys"


@dataclass(frozen=True)
class Seen:
    """A server as it is judged: its row, what it says of itself as the registry keeps it, by how many seconds its clock
    is ahead, its own IPs, where the other servers' fronts are, and what is wrong with its addresses."""

    name: str
    infrastructure: str
    description: Mapping[str, Any]
    server: registry.Server | None = None
    clock_ahead: float = 0.0
    ips: tuple[str, ...] = ()
    fronts: tuple[str, ...] = ()
    unfit_addresses: tuple[str, ...] = ()

    @property
    def ready(self) -> Mapping[str, Any]:
        """What its agent says of what a move needs; an agent of before says nothing of it."""
        readiness: Mapping[str, Any] = self.description.get("readiness", {})
        return readiness


@dataclass(frozen=True)
class Requirement:
    """What a server has to have for a move. `met`: what is told where it is; `unmet`: what is wrong with a server, and
    what to do, in a sentence; None where nothing is. `refuses`: no run begins with a server that lacks it."""

    name: str
    met: str | Callable[[Seen], str]
    unmet: Callable[[Seen], str | None] = field(repr=False)
    refuses: bool = True


@dataclass(frozen=True)
class Judged:
    """What the doctor says of one requirement."""

    requirement: str
    met: bool
    sentence: str


def judge(seen: Seen) -> list[Judged]:
    """A line for each requirement."""
    answers = ((requirement, requirement.unmet(seen)) for requirement in REQUIREMENTS)
    return [Judged(requirement.name, why is None, why or _met(requirement, seen)) for requirement, why in answers]


def _met(requirement: Requirement, seen: Seen) -> str:
    return requirement.met if isinstance(requirement.met, str) else requirement.met(seen)


def unfit(seen: Seen, *names: str) -> list[str]:
    """Why a run may not begin with the server, a sentence each; of these requirements only, if any are named."""
    asked = [each for each in REQUIREMENTS if each.refuses and (not names or each.name in names)]
    return [why for requirement in asked if (why := requirement.unmet(seen)) is not None]


def _infrastructure(seen: Seen) -> str | None:
    declared = infrastructures.load().get(seen.infrastructure)
    if declared is None:
        file = f"config/infrastructures/{seen.infrastructure}.yaml"
        return f"Nothing declares infrastructure {seen.infrastructure}: write {file}."
    unlike = declared.unlike(seen.description["debian"], seen.description["versions"])
    if not unlike:
        return None
    runs = printable("; ".join(unlike))
    return f"{seen.name} is not of infrastructure {seen.infrastructure}: it runs {runs}. Install it again."


def _layout(seen: Seen) -> str | None:
    """Whether it is laid out as declared; an agent of before does not tell."""
    declared, has = infrastructures.load().get(seen.infrastructure), seen.description.get("layout")
    if declared is None or has in (None, declared.layout):
        return None
    if declared.layout == "native":
        return (
            f"{seen.name} has the layout {has}, and infrastructure {seen.infrastructure} is native: give it one of its"
            " layout in the inventory."
        )
    return f"{seen.name} is not prepared for moves: type python -m cli prepare {seen.name}."


def _front(seen: Seen) -> str | None:
    declared = infrastructures.load().get(seen.infrastructure)
    if declared is None or declared.layout != "classic":
        return None
    for sentence in seen.ready.get("no_front", ()):
        return f"{seen.name} can have no front: {printable(sentence)}"
    return None


def _services(seen: Seen) -> str | None:
    if _layout(seen):
        return None  # it was asked for another layout's
    down = seen.description["services_down"]
    return f"{seen.name} does not run {', '.join(down)}: see why on the server, then clear the task." if down else None


def _rsync(seen: Seen) -> str | None:
    rsync = seen.description["versions"].get("rsync", "")
    if not short_of(RSYNC, rsync):
        return None
    what_to_do = f"which follows a customer's links as root: install {release(RSYNC)} or later."
    return f"{seen.name} has rsync {rsync}, {what_to_do}"


def _python(seen: Seen) -> str | None:
    python = seen.description["versions"].get("python")
    if python is None or not short_of(PYTHON, python):
        return None
    return f"{seen.name} has Python {python}, and the agent needs {release(PYTHON)} or later: install python3 of it."


def _programs(seen: Seen) -> str | None:
    missing = seen.ready.get("missing_programs")
    return f"{seen.name} lacks {', '.join(missing)}: install what brings them." if missing else None


_SET_SSHD = "write {} into /etc/ssh/sshd_config.d/ there, and type systemctl reload ssh."


def _sshd(seen: Seen) -> str | None:
    """What of sshd's settings keeps the orchestrator, or another server of a move, out."""
    if "sshd" not in seen.ready:
        return None
    name, settings, mend = seen.name, seen.ready["sshd"], _SET_SSHD
    if not settings:
        return f"What sshd of {name} is set to cannot be read: type sshd -t there, and mend what it says."
    if settings.get("permitrootlogin") == "no":
        return f"sshd of {name} lets root in by no key: {mend.format('PermitRootLogin prohibit-password')}"
    if settings.get("pubkeyauthentication") == "no":
        return f"sshd of {name} takes no keys: {mend.format('PubkeyAuthentication yes')}"
    files = settings.get("authorizedkeysfile", KEYS_FILE).split()
    if not {KEYS_FILE, "%h/" + KEYS_FILE, "/root/" + KEYS_FILE, "/%u/" + KEYS_FILE} & {*files}:
        to_write = mend.format(f"AuthorizedKeysFile {KEYS_FILE}")
        return f"sshd of {name} does not read the keys of /root/{KEYS_FILE}: {to_write}"
    methods = settings.get("authenticationmethods", "any").split()
    if not {"any", "publickey"} & {*methods}:
        to_write = mend.format("Match User root, and below it AuthenticationMethods publickey,")
        return f"sshd of {name} wants more than a key of root: {to_write}"
    if settings.get("forcecommand", "none") != "none":
        return f"sshd of {name} has a ForceCommand for root, so that no key can run the agent: " + mend.format(
            "Match User root, and below it ForceCommand none,"
        )
    return None


def _sessions(seen: Seen) -> str | None:
    settings = seen.ready.get("sshd", {})
    for setting, least in (("MaxSessions", MAX_SESSIONS), ("MaxStartups", MAX_STARTUPS)):
        number = re.match(r"\d{1,9}", settings.get(setting.lower(), ""))
        if number and int(number[0]) < least:
            to_write = _SET_SSHD.format(f"{setting} {least}")
            return f"sshd of {seen.name} has {setting} {number[0]}, too few for a move: {to_write}"
    return None


def _host_key(seen: Seen) -> str | None:
    keys = seen.ready.get("host_keys")
    if keys is None or seen.server is None or seen.server.host_key in keys:
        return None
    if not keys:
        return f"{seen.name} has no ed25519 host key: type ssh-keygen -A there, and enrol it again."
    return f"{seen.name} names another ed25519 host key than the one that is pinned: see why, and enrol it again."


def _clock(seen: Seen) -> str | None:
    if abs(seen.clock_ahead) <= CLOCK_SECONDS:
        return None
    far = f"{abs(seen.clock_ahead):.0f} s {'ahead of' if seen.clock_ahead > 0 else 'behind'}"
    return f"The clock of {seen.name} is {far} the orchestrator's: type timedatectl set-ntp true there."


def _addresses(seen: Seen) -> str | None:
    """Where the router sends a server's IPs has to be an address of that server, of each family that they have."""
    for sentence in seen.unfit_addresses:
        return sentence
    has, server = seen.ready.get("addresses"), seen.server
    if has is None or server is None:
        return None
    hops = {4: server.lan_address, 6: server.lan_address6}
    for family in sorted({ipaddress.ip_address(ip).version for ip in seen.ips}):
        hop = hops[family]
        if hop and str(ipaddress.ip_address(hop)) not in {str(ipaddress.ip_address(address)) for address in has}:
            return f"{seen.name} does not have {hop}, its IPv{family} next hop in the registry: correct either."
    return None


def _fronts(seen: Seen) -> str | None:
    networks = [ipaddress.ip_network(text, strict=False) for text in seen.ready.get("fronts", ())]
    if not networks:
        return None  # its layout has no front that takes another's word
    mend = "add that network to /etc/transhumance/front/peers.lst there, and type systemctl reload haproxy."
    if seen.description.get("layout") == "classic":
        mend = f"type python -m cli prepare {seen.name}."
    for address in seen.fronts:
        front = ipaddress.ip_address(address)
        if not any(front.version == network.version and front in network for network in networks):
            return f"The front of {seen.name} refuses what that at {address} passes on: {mend}"
    return None


def _room(seen: Seen) -> str | None:
    disk = seen.description.get("disk")
    if disk is None or disk["free_bytes"] >= max(ROOM_SHARE * disk["total_bytes"], ROOM_BYTES):
        return None
    free, total = (disk[key] / 1e9 for key in ("free_bytes", "total_bytes"))
    return f"{seen.name} has {free:,.1f} GB free of {total:,.1f}: make room before anything is moved there."


def _followed(engine: str) -> Callable[[Seen], str | None]:
    def unmet(seen: Seen) -> str | None:
        why = seen.ready.get("unfollowed", {}).get(engine)
        return f"On {seen.name} databases are copied while visitors wait, as {why}" if why else None

    return unmet


def _own_steps(seen: Seen) -> str:
    """Which steps the host does itself there."""
    steps = seen.ready.get("steps", ())
    return f"The host's own programs do {', '.join(steps)} here." if steps else "No step is done by the host itself."


def _wrong_steps(seen: Seen) -> str | None:
    for sentence in seen.ready.get("wrong_steps", ()):
        return f"{seen.name}: {printable(sentence)}"
    return None


REQUIREMENTS = (
    Requirement("infrastructure", "It runs the versions of its infrastructure.", _infrastructure),
    Requirement("layout", "It has the layout of its infrastructure.", _layout),
    Requirement("front", "A front can stand before its web server.", _front, refuses=False),
    Requirement("steps", _own_steps, _wrong_steps),
    Requirement("services", "Its services run.", _services),
    Requirement("python", f"Its Python is {release(PYTHON)} or later.", _python),
    Requirement("rsync", f"Its rsync is {release(RSYNC)} or later.", _rsync),
    Requirement("programs", "It has every program that the agent calls.", _programs),
    Requirement("sshd", "Its sshd lets keys of root in.", _sshd),
    Requirement("sessions", "Its sshd lets in as many as a move has at a time.", _sessions),
    Requirement("host key", "Its ed25519 host key is the one that is pinned.", _host_key),
    Requirement("clock", f"Its clock is within {CLOCK_SECONDS:g} s of the orchestrator's.", _clock, refuses=False),
    Requirement("addresses", "It has the addresses that its IPs are routed to.", _addresses),
    Requirement("fronts", "Its front takes what every other server's passes on.", _fronts, refuses=False),
    Requirement("room", "Its disk has room.", _room, refuses=False),
    *(
        Requirement(each.name, f"Its {each.title} databases are followed.", _followed(each.name), refuses=False)
        for each in DECLARED
    ),
)
"""All of them, in the order in which they are told."""
