"""Which roles and users of the database servers are this agent's own: names that begin with th_, and its mark.

A customer's names never begin so; one that does all the same is never taken for ours, or its owner would be given what
ours is given. The mark is a number that this server's root alone can work out. It is set by the very statement that
makes a role or user, as the limit of its connections, which is far beyond what anybody reaches.
"""

import hashlib
import hmac
import secrets
from typing import NoReturn

from .digest import printable
from .system import RUNTIME, STATE, locked, refuse, write_durably

PREFIX = "th_"


def mark(name: str) -> int:
    """The limit of connections of the role or user of this name, if it is ours."""
    number = hmac.new(_secret(), name.encode(errors="backslashreplace"), hashlib.sha256).digest()[:4]
    return (1 << 30) + int.from_bytes(number, "big") % (1 << 30)


def _secret() -> bytes:
    path = STATE / "mark"
    if not path.exists():
        with locked(RUNTIME / "mark.lock"):
            if not path.exists():
                STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_durably(path, secrets.token_hex(32))
    return path.read_bytes()


def refuse_taken(kind: str, name: str) -> NoReturn:
    """Refuse to take somebody's role or user for ours."""
    refuse(
        "name_taken",
        f"The {kind} {printable(name)} of this server was not made by the agent, whose own names begin with {PREFIX};"
        " rename or drop it, then try again.",
    )
