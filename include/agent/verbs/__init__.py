"""What the orchestrator may ask of an agent: each verb's arguments, what it gives, and who may call it.

What answers them stands in `protocol`. What servers ask of each other stands beside this, in modules of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from ..account.accounts import Account, check_move, check_name
from ..account.engines import check_engine
from ..host.addresses import check_address
from ..host.codec import Most, plain
from ..host.shapes import maybe, named, number, sentence, text, tree, whole
from .described import Description
from .reports import Checked, Compared, Copied, Duplicated, Sentence, Sentences, Switched, Word
from .verb import ORCHESTRATOR, LongVerb, Nothing, Verb

LONGEST_TEXT = 16 << 20
"""Characters of one text in a request: a certificate, a crontab, a reason."""
BUDGET_SECONDS = 1.0
"""The longest that visitors may have to wait, unless the move says otherwise."""
_LONG_REPLY = 16 << 20
"""Bytes: a server's accounts, a test's report."""


def _account_file(value: Any) -> dict[str, Any]:
    Account.from_json(value)
    account_file: dict[str, Any] = value
    return account_file


# What is asked for; what is none is refused with a code and a sentence of its own.
AccountName = Annotated[str, check_name]
AccountFile = Annotated[dict[str, Any], _account_file]
Engine = Annotated[str, check_engine]
MoveKey = Annotated[str, check_move]
Address = Annotated[str, check_address]
Addresses = Annotated[list[Address], Most(10_000)]
Epoch = Annotated[int, whole(0, 1 << 31)]
Operation = Annotated[str, text(1000)]
Long = Annotated[str, text(LONGEST_TEXT)]
Stores = Annotated[list[Annotated[str, text(40)]], Most(10)]

# What is answered.
Domain = Annotated[str, text(253, r"[a-z0-9.-]+")]
Domains = Annotated[dict[str, Domain], Most(10_000)]
SshKey = Annotated[str, text(1200, "[A-Za-z0-9+/= -]+")]
ShortSentence = Annotated[str, sentence(1000)]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where an account stands on a server."""

    state: Word
    epoch: Epoch


# --- accounts ---


@dataclass(frozen=True, kw_only=True)
class Create(Verb[Standing], name="create", by=ORCHESTRATOR):
    """Make an account that serves here; again with another file, what changed is taken over."""

    account_file: AccountFile
    epoch: Epoch = 1
    unix_password_hash: Annotated[str, text(1000)] | None = None


@dataclass(frozen=True, kw_only=True)
class Adopt(Verb[Standing], name="adopt", by=ORCHESTRATOR):
    """Register an account that the host itself made: it serves here from now on, and nothing of it is changed."""

    account_file: AccountFile
    epoch: Epoch = 1


@dataclass(frozen=True, kw_only=True)
class Remove(Verb[Nothing], name="remove", by=ORCHESTRATOR):
    """Take away what has left, or was given up. `move`: only if it is here by that one."""

    account: AccountName
    move: MoveKey | None = None


# --- moves ---


@dataclass(frozen=True, kw_only=True)
class Paired:
    public_key: SshKey


@dataclass(frozen=True, kw_only=True)
class Pair(Verb[Paired], name="pair", by=ORCHESTRATOR):
    """With an `epoch` it begins that attempt of a move away; a test copies and begins none."""

    account: AccountName
    move: MoveKey
    epoch: Epoch | None = None


@dataclass(frozen=True, kw_only=True)
class Received:
    host_keys: Annotated[list[SshKey], Most(10)]


@dataclass(frozen=True, kw_only=True)
class Receive(Verb[Received], name="receive", by=ORCHESTRATOR):
    """Let the account come, or its databases of one engine."""

    account: AccountName
    move: MoveKey
    epoch: Epoch
    account_file: AccountFile
    source_address: Address
    public_key: Annotated[str, text(10_000)]
    engine: Engine | None = None


@dataclass(frozen=True, kw_only=True)
class Unpair(Verb[Nothing], name="unpair", by=ORCHESTRATOR):
    """`epoch`: of the attempt whose end this is; when a later one has begun, it is that one's channel and stays."""

    move: MoveKey
    epoch: Epoch | None = None


@dataclass(frozen=True, kw_only=True)
class Return(Verb[Standing], name="return", by=ORCHESTRATOR):
    """With an `epoch` that attempt is over as well: nothing of it holds or commits from here on."""

    account: AccountName
    move: MoveKey
    epoch: Epoch | None = None


@dataclass(frozen=True, kw_only=True)
class Left(Verb[Standing], name="left", by=ORCHESTRATOR):
    """What the registry knows and this server does not (its disk is that of a backup): where the account has gone."""

    account: AccountName
    move: MoveKey
    epoch: Epoch
    to: Address


@dataclass(frozen=True, kw_only=True)
class DropLeft(Verb[Nothing], name="drop_left", by=ORCHESTRATOR):
    """Drop the databases that stayed behind, locked, when those of this engine moved."""

    account: AccountName
    engine: Engine


@dataclass(frozen=True, kw_only=True)
class TakeBack(Verb[Standing], name="take_back", by=ORCHESTRATOR):
    """The account serves again, from what it had when it left."""

    account: AccountName
    epoch: Epoch
    because: Long


@dataclass(frozen=True, kw_only=True)
class Led:
    state: Word
    to: Annotated[str | None, maybe(text(45, "[0-9a-fA-F:.]+"))]


@dataclass(frozen=True, kw_only=True)
class LeadTo(Verb[Led], name="lead_to", by=ORCHESTRATOR):
    """What still comes for an account that has left is forwarded to another address."""

    account: AccountName
    address: Address


# --- tests ---


@dataclass(frozen=True, kw_only=True)
class TestServer:
    test_server: Domain


@dataclass(frozen=True, kw_only=True)
class BecomeTestServer(Verb[TestServer], name="become_test_server", by=ORCHESTRATOR):
    """`certificate`: key and chain for *.DOMAIN, or None to leave what is there."""

    domain: Annotated[str, text(1000)]
    certificate: Long | None = None


@dataclass(frozen=True, kw_only=True)
class TestOpened:
    state: Word
    epoch: Epoch
    names: Domains = field(default_factory=dict)
    stores: Stores = field(default_factory=list)
    hosts: Domains = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OpenTest(Verb[TestOpened], name="open_test", by=ORCHESTRATOR):
    """Each site of a copy answers to its test name."""

    account: AccountName
    move: MoveKey
    epoch: Epoch
    names: Annotated[dict[str, Any], Most(10_000)]
    stores: Stores


# --- the server ---


@dataclass(frozen=True, kw_only=True)
class Describe(Verb[Description], name="describe", by=ORCHESTRATOR, longest=_LONG_REPLY):
    """All that the orchestrator wants to know of a server."""


@dataclass(frozen=True, kw_only=True)
class Unclaimed:
    """Something that lives on a server and is no account's. It is another one when its kind or name changes."""

    kind: Word
    name: Annotated[str, sentence(500)]
    sentence: ShortSentence


AllUnclaimed = Annotated[list[Unclaimed], Most(10_000)]


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A thing that a person has signed for: it may stay behind, and be lost."""

    kind: Word
    name: Annotated[str, text(500)]


@dataclass(frozen=True, kw_only=True)
class Emptiness:
    """`because`: whatever is here and nowhere else, unless it is signed for; `unclaimed`: all that is no account's."""

    empty: bool
    because: Sentences
    unclaimed: AllUnclaimed


@dataclass(frozen=True, kw_only=True)
class ProveEmpty(Verb[Emptiness], name="prove_empty", by=ORCHESTRATOR, longest=_LONG_REPLY):
    """Whether anything of a customer, or of nobody, is here and nowhere else: one sentence each."""

    signed: Annotated[list[Signed], Most(10_000)] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class AcceptIps(Verb[Nothing], name="accept_ips", by=ORCHESTRATOR):
    """Answer for these addresses from now on."""

    ips: Addresses


@dataclass(frozen=True, kw_only=True)
class DropIps(Verb[Nothing], name="drop_ips", by=ORCHESTRATOR):
    """Answer for them no longer."""

    ips: Addresses


@dataclass(frozen=True, kw_only=True)
class SendMailFrom(Verb[Nothing], name="send_mail_from", by=ORCHESTRATOR):
    """Let mail to the world leave by the first of these addresses of each family, which lead here."""

    ips: Addresses


@dataclass(frozen=True, kw_only=True)
class Drained:
    still_open: int


@dataclass(frozen=True, kw_only=True)
class DrainIps(Verb[Drained], name="drain_ips", by=ORCHESTRATOR):
    """Begin no connection to these addresses, and let those in flight end, for 1 second at most."""

    ips: Addresses
    seconds: Annotated[float, number(3600)]


@dataclass(frozen=True, kw_only=True)
class Reset:
    reset: int


@dataclass(frozen=True, kw_only=True)
class ResetIps(Verb[Reset], name="reset_ips", by=ORCHESTRATOR):
    """After a reroute: end what is still open to these addresses."""

    ips: Addresses


# --- a host's own servers ---


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a person has still to do."""

    to_do: Sentences


@dataclass(frozen=True, kw_only=True)
class Prepare(LongVerb[Prepared], name="prepare", by=ORCHESTRATOR):
    """Make a host's own server ready for moves: a front before its web server. `files`: their content by path;
    `fronts`: where the other servers' fronts are."""

    files: Annotated[dict[str, Long], Most(100, text(200, "(/[A-Za-z0-9@_][A-Za-z0-9@._-]*)+"))]
    fronts: Addresses


@dataclass(frozen=True, kw_only=True)
class Unprepare(LongVerb[Nothing], name="unprepare", by=ORCHESTRATOR):
    """Take that away again."""


# --- the host's own programs ---

Hook = Literal["before-move", "after-move"]


@dataclass(frozen=True, kw_only=True)
class MoveTold:
    """What the hooks of a move are told of it, but for its words (docs/hooks.md)."""

    account: AccountName
    direction: Annotated[str, text(40, "[a-z_]+")]
    source: Annotated[str, text(253, "[a-z0-9.-]+")]
    target: Annotated[str, text(253, "[a-z0-9.-]+")]
    move: MoveKey
    engine: Engine | None = None


@dataclass(frozen=True, kw_only=True)
class HookRun:
    """`ran`: False where the host has no such hook on this server."""

    ran: bool


@dataclass(frozen=True, kw_only=True)
class RunHook(Verb[HookRun], name="run_hook", by=ORCHESTRATOR):
    """Run the host's own program for this step; refused with what it says against it."""

    hook: Hook
    about: MoveTold


# --- operations: long verbs ---


@dataclass(frozen=True, kw_only=True)
class Progress:
    text: Sentence | None = None
    step: Annotated[str, sentence(100)] | None = None
    done_bytes: int | None = None
    total_bytes: int | None = None
    at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    code: Annotated[str, text(64, "[a-z][a-z0-9_]*")]
    message: Sentence


@dataclass(frozen=True, kw_only=True)
class OperationStatus:
    """`state`: unknown, running, succeeded, failed or vanished; `verb` and `args`: what was asked for under this id."""

    state: Word
    progress: Progress
    result: Annotated[dict[str, Any] | None, maybe(named(tree()))]
    error: Failure | None
    seconds: float
    verb: Word | None = None
    args: Any = None


@dataclass(frozen=True, kw_only=True)
class Start(Verb[OperationStatus], name="start", by=ORCHESTRATOR, longest=_LONG_REPLY):
    """Start a long verb, unless it runs or has succeeded under this id."""

    operation: Operation
    verb: Annotated[str, text(100)]
    args: Annotated[dict[str, Any], Most(100)]


@dataclass(frozen=True, kw_only=True)
class Status(Verb[OperationStatus], name="status", by=ORCHESTRATOR, longest=_LONG_REPLY):
    """How far an operation is, or how it ended."""

    operation: Operation


def start(operation: str, verb: LongVerb[Any]) -> Start:
    """What starts this long verb under an id."""
    return Start(operation=operation, verb=verb.name, args=plain(verb))


@dataclass(frozen=True, kw_only=True)
class PeerAt:
    """The other server of a move, as `receive` told of it."""

    address: Address
    host_keys: Annotated[list[Annotated[str, text(2000)]], Most(10)]


@dataclass(frozen=True, kw_only=True)
class Copy(LongVerb[Copied], name="copy", by=ORCHESTRATOR):
    """Copy the stores while the account serves, prove the copy, and let it follow."""

    account: AccountName
    move: MoveKey
    peer: PeerAt
    epoch: Epoch | None = None
    stores: Stores | None = None


@dataclass(frozen=True, kw_only=True)
class Verify(LongVerb[Compared], name="verify", by=ORCHESTRATOR):
    """Compare both copies as a whole, now."""

    account: AccountName
    move: MoveKey
    peer: PeerAt
    epoch: Epoch | None = None
    stores: Stores | None = None


@dataclass(frozen=True, kw_only=True)
class Switch(LongVerb[Switched], name="switch", by=ORCHESTRATOR, visitors_wait=True):
    """From rehearsal to forward, with nobody's help; with an `engine`, its databases alone."""

    account: AccountName
    move: MoveKey
    epoch: Epoch
    peer: PeerAt
    hold_seconds: Annotated[float, number(3600)]
    budget_seconds: Annotated[float, number(60, 0.1)] = BUDGET_SECONDS
    engine: Engine | None = None


@dataclass(frozen=True, kw_only=True)
class Duplicate(LongVerb[Duplicated], name="duplicate", by=ORCHESTRATOR):
    """Copy these stores for a test."""

    account: AccountName
    move: MoveKey
    peer: PeerAt
    epoch: Epoch | None = None
    stores: Stores


@dataclass(frozen=True, kw_only=True)
class Check(LongVerb[Checked], name="check", by=ORCHESTRATOR, bounded=True):
    """What in an account will not work, or works otherwise, on the new version. `checks`: the catalogue's."""

    account: AccountName
    side: Literal["copy", "original"]
    checks: Annotated[list[Any], Most(10_000)] = field(default_factory=list)
    old_addresses: Annotated[list[Any], Most(10_000)] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Inspected:
    unclaimed: AllUnclaimed


@dataclass(frozen=True, kw_only=True)
class Inspect(LongVerb[Inspected], name="inspect", by=ORCHESTRATOR, bounded=True):
    """What lives on the server and is no account's."""


Who = Literal["customer", "host", "nobody"]


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """One thing that stops a move: what and where it is, in a sentence, and who can mend it."""

    sentence: ShortSentence
    who: Who


@dataclass(frozen=True, kw_only=True)
class LookedAhead:
    obstacles: Annotated[list[Obstacle], Most(100)]
    left: Annotated[list[ShortSentence], Most(100)]


@dataclass(frozen=True, kw_only=True)
class Obstacles(LongVerb[LookedAhead], name="obstacles", by=ORCHESTRATOR, bounded=True):
    """What would refuse a move of these stores, and what of them it would not carry."""

    account: AccountName
    stores: Stores


Unread = Annotated[dict[str, Any], named(tree())]
"""An answer that its caller reads by types of its own."""


@dataclass(frozen=True, kw_only=True)
class Discover(LongVerb[Unread], name="discover", by=ORCHESTRATOR, bounded=True):
    """Who lives on this server by its own configuration (`discovered.Inhabitants`), and what of it is not understood.
    It only reads. Its types are made where they are needed: no other call pays for them."""
