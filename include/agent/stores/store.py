"""What a store of an account is: one of the places that its data lie in, and how these go over to another server.

A store is *followed* while the account serves; what comes of that is a `Following`, which goes through the move to its
end. What these say of themselves is JSON only where it leaves the agent.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..account.accounts import Account
from ..account.engines import declared
from ..channel.peer import Peer
from ..host import digest
from ..host.scope import Scope
from ..verbs.reports import Way
from ..verbs.verb import Answer, PeerVerb
from .duplicated import StoreCopy
from .followed import WhyNot

Report = Callable[..., None]
"""Told how far the work is, in keywords: text, done_bytes."""


@dataclass(frozen=True)
class Followed:
    """What was brought over and proven while the account served, and what is not carried (`left`, a sentence each)."""

    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    verify_seconds: float = 0.0
    left: tuple[str, ...] = ()
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True)
class Slow:
    """What takes long in a hold, and why."""

    what: str
    seconds: float
    why: str


@dataclass(frozen=True)
class Rehearsal:
    """How long the last pass and its comparison will take, and what of it takes long."""

    seconds: float = 0.0
    slow: tuple[Slow, ...] = ()


@dataclass(frozen=True)
class Compared:
    """How much was proven, and what differs: a sentence each, none when all is equal."""

    files: int = 0
    bytes: int = 0
    tables: int = 0
    rows: int = 0
    different: tuple[str, ...] = ()


class Following(ABC):
    """One store of an account on its way to one peer: rehearsed as often as it takes, then ended in one hold."""

    def __init__(self, store: Store, account: Account, peer: Peer, followed: Followed) -> None:
        self.store, self.account, self.peer, self.followed = store, account, peer, followed

    @abstractmethod
    def rehearse(self) -> Rehearsal:
        """Do what the hold will do, as far as it can be done while the account serves; what it needs is open then."""

    @abstractmethod
    def final_pass(self) -> None:
        """Inside the hold: bring over what changed since the last pass; durable on the target at return."""

    @abstractmethod
    def compare(self) -> Compared:
        """Inside the hold: prove what may have changed since it was last proven equal."""

    def messages(self) -> int:
        """How many messages belong to what was proven: they are counted when nobody waits any more."""
        return 0

    def stop(self) -> None:
        """The move is over: nothing of the following runs or stays on this server."""
        self.store.unfollow(self.account)


class Nothing(Following):
    """Of an account that has nothing in the store."""

    def __init__(self, store: Store, account: Account, peer: Peer) -> None:
        super().__init__(store, account, peer, Followed())

    def rehearse(self) -> Rehearsal:
        return Rehearsal()

    def final_pass(self) -> None:
        pass

    def compare(self) -> Compared:
        return Compared()


class Store(ABC):
    """One of the places that the data of accounts lie in on a server."""

    name: str
    scope: Scope
    """What the proof of it covers."""
    digest_verb: type[PeerVerb[dict[str, Any]]]
    """By which the peer is asked for its digest."""
    peer_verbs: tuple[Answer, ...]
    """What the other server of a move may ask of the store."""

    @abstractmethod
    def describe(self, account: Account) -> dict[str, Any]:
        """What of the account is here, and how much."""

    @abstractmethod
    def digest(self, account: Account) -> dict[str, Any]:
        """All of it, as it is now; equal on both servers exactly when the copies are."""

    @abstractmethod
    def differences(self, account: Account, peer: Peer, mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
        """Where this digest and the peer's part, a sentence each."""

    @abstractmethod
    def follow(self, account: Account, peer: Peer, report: Report) -> Following:
        """While the account serves: copy and prove what is not on the peer yet, catch up with what is. Repeatable.

        What cannot move is refused here, before anything is done."""

    @abstractmethod
    def unfollow(self, account: Account) -> None:
        """On the source: nothing runs or is kept for a following, whichever process began it. Repeatable."""

    @abstractmethod
    def finish(self, account: Account) -> None:
        """On the target, at the release: the copy is the account now and follows nothing. Repeatable."""

    @abstractmethod
    def discard(self, account: Account) -> None:
        """Take the account's data away from this server, with all that was kept of them. Repeatable."""


class Noted(Protocol):
    """The obstacles of one account."""

    def add(self, code: str, sentence: str) -> None:
        """Note one."""

    def noting(self) -> AbstractContextManager[None]:
        """A refusal inside is an obstacle, and ends no more than this block."""


class Engine(Store):
    """A server's databases of one kind, which the programs of accounts log in to."""

    service: str
    """The unit of systemd that runs it."""
    port: int
    socket: Path
    """Where programs of this server find it, when it runs."""

    @property
    def title(self) -> str:
        """What people call it."""
        return declared(self.name).title

    def differences(self, account: Account, peer: Peer, mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
        return [f"{self.name}: {text}" for text in digest.differences(mine, theirs)]

    def version(self) -> tuple[int, ...]:
        """The release that runs here, such as 17 or 11.8: an older one cannot take what a newer one had."""
        numbers = re.findall(r"\d+", self.full_version())
        return tuple(int(number) for number in numbers[: declared(self.name).release])

    @abstractmethod
    def full_version(self) -> str:
        """What runs here to the last number, such as 17.6 or 11.8.3."""

    @abstractmethod
    def databases(self) -> list[str]:
        """Every database of this server, but for the engine's own."""

    @abstractmethod
    def owners(self) -> dict[str, list[Any]]:
        """Each of these databases with who owns it, as an account file lists the users of this engine."""

    @abstractmethod
    def guests(self) -> dict[str, list[Any]]:
        """Each of these databases with who else has rights in it, listed in the same way."""

    @abstractmethod
    def passwords(self) -> dict[str, Callable[[str], bool]]:
        """Of each user whose password can be tried, as it is told (see `Names.told`): whether a password is theirs."""

    @abstractmethod
    def enrol(self) -> None:
        """Refuse a server on which somebody has users with names of ours."""

    @abstractmethod
    def unfollowed(self) -> WhyNot | None:
        """Why no database of this server could be followed; None where it keeps what that takes."""

    @abstractmethod
    def hold(self, account: Account) -> object:
        """Nobody of the account writes there from here on. Repeatable."""

    @abstractmethod
    def unhold(self, account: Account) -> None:
        """Give back what a hold took; nothing happens where nothing is held."""

    @abstractmethod
    def lock(self, account: Account) -> None:
        """For good: what was held here belongs to another server now."""

    @abstractmethod
    def end_sessions(self, account: Account) -> None:
        """Target: nobody writes the copy any more; what was under way is rolled back."""

    @abstractmethod
    def duplicate(self, account: Account, peer: Peer, report: Report, done: StoreCopy) -> None:
        """Copy it for a test while it serves and is not followed; what is to be told goes into `done`."""

    @abstractmethod
    def obstacles(self, account: Account, noted: Noted) -> list[str]:
        """Look for what would refuse a move, with the functions that refuse in one, and note all of it; gives what
        would stay behind, a sentence each. It only reads."""

    @abstractmethod
    def require_passwords(self, account: Account) -> None:
        """Refuse an account one of whose users logs in in a way that no other server can check."""

    @abstractmethod
    def require_front(self, account: Account) -> None:
        """Refuse to be the server of programs elsewhere whose users could not log in through the front."""
