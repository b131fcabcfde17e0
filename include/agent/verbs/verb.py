"""What a verb is: its arguments as a frozen dataclass, what it gives, and who may call it.

A verb that names no caller can be called by nobody. Neither side believes the other: what is asked and what is answered
goes through the types of their fields before anything looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar, cast, get_args

from ..account.accounts import Account
from ..host.codec import decode, encode, shape_of
from ..host.shapes import Strange, flag, parsed, record, sentence, text
from ..host.system import Refused, refuse

Result = TypeVar("Result")
Callers = frozenset[str]

NOBODY: Callers = frozenset()
ORCHESTRATOR: Callers = frozenset({"the orchestrator"})
PEER: Callers = frozenset({"the other server of a whole account's move"})
PARTS: Callers = frozenset({"the other server of any engine's move"})
USUAL = 1 << 20
"""Bytes of a reply that is not said to be longer."""


def part_of(engine: str) -> Callers:
    """The other server of a move in which the databases of this engine go over, and nothing else of the account."""
    return frozenset({f"the other server of the move of {engine}"})


def peer_of(engine: str | None) -> Callers:
    """Whom a move's key makes its holder: the peer of an account, or of its databases of one engine."""
    return PEER if engine is None else PARTS | part_of(engine)


class Verb(Generic[Result]):
    """A short verb: one request, one reply. `name`: as it is on the wire; `longest`: bytes of its reply."""

    name: ClassVar[str]
    by: ClassVar[Callers]
    longest: ClassVar[int]
    result: ClassVar[Any]

    def __init_subclass__(cls, name: str | None = None, by: Callers = NOBODY, longest: int = USUAL) -> None:
        if name is not None:
            cls.name, cls.by, cls.longest = name, by, longest
            # What it was derived with: Verb[Standing] gives a Standing.
            cls.result = get_args(cls.__orig_bases__[0])[0]  # type: ignore[attr-defined]

    @classmethod
    def answered_by(cls, handler: Callable[[Self], Result]) -> Answer:
        """The verb with what answers it; a type check holds both against each other."""
        return cls, handler

    def unfit(self, result: Result) -> str | None:
        """What in a reply does not fit this request."""
        return None


class LongVerb(Verb[Result]):
    """A verb that runs as an operation, and reports how far it is.

    `visitors_wait`: it gives way to nobody; `bounded`: it reads what customers wrote, and has bounds of its own."""

    visitors_wait: ClassVar[bool]
    bounded: ClassVar[bool]

    def __init_subclass__(
        cls, name: str, by: Callers = NOBODY, visitors_wait: bool = False, bounded: bool = False
    ) -> None:
        super().__init_subclass__(name, by)
        cls.visitors_wait, cls.bounded = visitors_wait, bounded

    @classmethod
    def run_by(cls, handler: Callable[[Self, Callable[..., None]], Result]) -> Answer:
        """The verb with what does it, which is given where to report."""
        return cls, handler


@dataclass(frozen=True)
class Asking:
    """How a peer asks: by the key of which move, and what it streams."""

    move: str
    stdin: BufferedIOBase


class PeerVerb(Verb[Result]):
    """A verb of the other server of a move, on the move's account alone, which must be receiving in it.

    `any_state`: whatever state the account is in."""

    any_state: ClassVar[bool]

    def __init_subclass__(cls, name: str, by: Callers = NOBODY, longest: int = USUAL, any_state: bool = False) -> None:
        super().__init_subclass__(name, by, longest)
        cls.any_state = any_state

    @classmethod
    def served_by(cls, handler: Callable[[Account, Self, Asking], Result]) -> Answer:
        """The verb with what serves it."""
        return cls, handler

    @classmethod
    def told_by(cls, read: Callable[[Account], Result]) -> Answer:
        """The verb with what tells it of the account alone."""
        return cls.served_by(lambda account, _want, _asking: read(account))


Answer = tuple[type[Verb[Any]], Callable[..., Any]]


class Answers:
    """What answers which verb. Nobody finds one there that they may not call."""

    def __init__(self, *answers: Answer) -> None:
        self._by_name = {verb.name: (verb, handler) for verb, handler in answers}

    def __iter__(self) -> Iterator[Answer]:
        return iter(self._by_name.values())

    def get_ready(self) -> None:
        """Make what takes the arguments of each verb apart."""
        for verb, _ in self:
            shape_of(cast(Hashable, verb))

    def open_to(self, caller: Callers) -> dict[str, Answer]:
        """By name, what this caller may call."""
        return {name: answer for name, answer in self._by_name.items() if answer[0].by & caller}


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """What a verb gives that gives nothing."""


# --- what is said, and what it means ---

Text = Annotated[str, text(1000)]
_ERROR = record({"code": text(64, "[a-z][a-z0-9_]*"), "message": sentence()})


def request(verb: Verb[Any]) -> bytes:
    """What is sent to call it."""
    return encode({"verb": verb.name, "args": verb}).encode()


def asked(verb: type[Verb[Any]], args: Any) -> Verb[Any]:
    """What was asked for, each argument of its kind; refused otherwise."""
    try:
        wanted: Verb[Any] = decode(verb, args)
    except Strange as strange:
        refuse("bad_args", f"The arguments of {verb.name} are not what they must be: {str(strange).lstrip('.: ')}.")
    return wanted


def answer(verb: Verb[Result], reply: bytes) -> Result:
    """The result that a reply holds. The other side's refusal is raised as Refused; Strange where it is no reply to
    this request."""
    if len(reply) > verb.longest:
        raise Strange(f": {verb.longest} bytes at most were expected")
    value = parsed(reply)
    if not record({"ok": flag})(value)["ok"]:
        error = record({"error": _ERROR})(value)["error"]
        raise Refused(error["code"], error["message"])
    result: Result = record({"result": lambda result: decode(verb.result, result)})(value)["result"]
    if unfit := verb.unfit(result):
        raise Strange(unfit)
    return result
