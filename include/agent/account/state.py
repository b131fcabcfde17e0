"""Where an account stands on a host, as its state file says it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..host.digest import printable
from ..host.system import refuse
from .engines import ENGINES

# Where an account may go from where it stands. "absent" also remembers the epoch after a removal.
TRANSITIONS: dict[str, frozenset[str]] = {
    "absent": frozenset({"serving", "receiving"}),
    "serving": frozenset({"held", "moved"}),  # moved: it had left already, and this disk is an older one
    "held": frozenset({"serving", "moved"}),  # returned, or committed: the point of no return
    "moved": frozenset({"receiving", "absent"}),  # comes back another time, or is removed
    "receiving": frozenset({"serving", "test", "absent"}),  # released, opened as a test copy, or given up
    "test": frozenset({"absent"}),  # a test copy never becomes the account
}


@dataclass(frozen=True)
class State:
    """Where an account stands on this host. The state file is the fence: it changes by one durable rename.

    `epoch` only grows; `deadline` is Unix time at which a hold ends by itself; `to` is the address of the server
    that has the account now; `saved` is what must be restored at a return; `released` says that the other side
    has opened the account; `returning` that a return has begun, so a commit comes too late; `test` what is open of a
    test copy: {"names": {site: test name}, "stores": [...], "hosts": {site: the host that it is asked as}}.
    `engines` are those whose databases live on another server although the account lives here: {engine: {"to", "peer",
    "port": the part's port of that server's front, "lead_port": of this one's, "move", "epoch", "released", "left":
    the names of what stays behind here, locked, or None, "figures", "since"}}.
    """

    state: str = "absent"
    epoch: int = 0
    move: str | None = None
    deadline: float | None = None
    to: str | None = None
    peer: dict[str, Any] | None = None
    saved: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    test: dict[str, Any] = field(default_factory=dict)
    released: bool = False
    returning: bool = False
    since: float | None = None
    engines: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


UNREADABLE = "unreadable"
"""Where an account stands whose state file cannot be read: nowhere that anything leads on from."""


def read_state(name: str, data: Any) -> State:
    """What a state file says; refused when this agent does not understand it."""
    names = {field.name for field in fields(State)}
    if isinstance(data, dict) and (newer := sorted({*data} - names)):
        refuse(
            "newer_state",
            f"The state of the account {name} was written by a newer agent ({printable(newer[0])}); install that agent "
            "here again.",
        )
    if not isinstance(data, dict) or any(not _KINDS[key](value) for key, value in data.items()):
        refuse(
            "damaged_file",
            f"The state file of the account {name} is damaged; find out where it lives, then restore the file.",
        )
    return State(**data)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _or_none(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or kind(value)


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _engines(value: Any) -> bool:
    return isinstance(value, dict) and all(
        engine in ENGINES and isinstance(entry, dict) and isinstance(entry.get("released"), bool)
        for engine, entry in value.items()
    )


_KINDS: dict[str, Callable[[Any], bool]] = {
    "state": lambda value: isinstance(value, str) and value in TRANSITIONS,
    "epoch": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "move": _or_none(_is(str)),
    "deadline": _or_none(_number),
    "to": _or_none(_is(str)),
    "peer": _or_none(_is(dict)),
    "saved": _is(dict),
    "figures": _is(dict),
    "test": _is(dict),
    "released": _is(bool),
    "returning": _is(bool),
    "since": _or_none(_number),
    "engines": _engines,
}
"""What each field of a state file holds."""
