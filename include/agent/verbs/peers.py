"""What the other server of a move may ask of this one, but of databases: all over the channel of that move alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from ..host.codec import Most
from ..host.shapes import each, holding, maybe, named, number, record, row, text, tree, whole
from ..host.walk_format import BUCKETS, FIELDS
from .extras import MOST, Extra
from .reports import Remark, Step
from .verb import PARTS, PEER, Nothing, PeerVerb

SHORT, LONG = 1 << 20, 64 << 20
MANY = 5_000_000
NAME = text(1000)
HASH = text(64, "[0-9a-f]*")
TOKEN = maybe(text(200))
_PATH = text(1 << 20, r"[^\0]+")
_FIELD = r"[^\0\t\n]*"
_REST = rf"{_FIELD}(?:\t{_FIELD}){{{len(FIELDS) - 1}}}"
"""What is said of an entry of a home, behind its path."""
_LINE = rf"{_FIELD}\t{_REST}"

Protocol = Annotated[Any, tree(100)]
State = Annotated[str, text(40, "[a-z]*")]
Name = Annotated[str, NAME]
Token = Annotated[str | None, TOKEN]
Paths = Annotated[list[str], each(_PATH, MANY)]


@dataclass(frozen=True, kw_only=True)
class Versions:
    """What an agent's words mean, and the release of each engine that runs beside it."""

    protocol: Protocol
    versions: Annotated[dict[str, list[int]], named(each(whole(0, 10_000), 3), 10)]


@dataclass(frozen=True, kw_only=True)
class Alone(PeerVerb[Versions], name="alone", by=PEER | PARTS, any_state=True):
    """End what a connection that was lost has left at work there."""

    protocol: Protocol


@dataclass(frozen=True, kw_only=True)
class Stands:
    """`proof`: what nobody but the source knew before it committed."""

    account: Name
    state: State
    epoch: int
    proof: Annotated[str | None, maybe(text(64))]


@dataclass(frozen=True, kw_only=True)
class HowItStands(PeerVerb[Stands], name="standing", by=PEER | PARTS, any_state=True):
    """What a source asks that has just booted."""


@dataclass(frozen=True, kw_only=True)
class Released:
    state: State
    steps: Annotated[list[Step], Most(1000)]


@dataclass(frozen=True, kw_only=True)
class Release(PeerVerb[Released], name="release", by=PEER | PARTS, any_state=True):
    """Open the account, which is committed; it ends the receiving, and may be repeated after it."""

    epoch: int
    commit_record: Annotated[dict[str, Any] | None, maybe(holding({}, tree(), proof=maybe(text(64))))]


@dataclass(frozen=True, kw_only=True)
class Warmed:
    """`open_seconds`: how long the host's own `open` there took in its rehearsal."""

    open_seconds: Annotated[float, number(60)] = 0.0


@dataclass(frozen=True, kw_only=True)
class Warm(PeerVerb[Warmed], name="warm", by=PEER | PARTS):
    """What the release would start runs already."""


@dataclass(frozen=True, kw_only=True)
class Port:
    port: Annotated[int, whole(1024, 65535)]


@dataclass(frozen=True, kw_only=True)
class PartPort(PeerVerb[Port], name="part_port", by=PEER | PARTS):
    """Where its front takes what is led to the part."""


# --- what root keeps, and mail ---


@dataclass(frozen=True, kw_only=True)
class Identity(PeerVerb[Nothing], name="identity", by=PEER):
    """Make what root keeps of the account the same there."""

    password_hash: Annotated[str, text(1000)]
    expiry: Annotated[str, text(40)]
    crontab: Annotated[str | None, maybe(text(SHORT))]
    lingers: bool
    certificates: Annotated[dict[str, str], named(text(SHORT), 10_000)]


@dataclass(frozen=True, kw_only=True)
class Extras(PeerVerb[Nothing], name="extras", by=PEER):
    """Make the host's files of the account's the same there, when its home is."""

    extras: Annotated[list[Extra], Most(MOST)]


@dataclass(frozen=True, kw_only=True)
class IdentityDigest(PeerVerb[Annotated[dict[str, Any], named(HASH, 10, text(40))]], name="identity_digest", by=PEER):
    """A hash of each part of it."""


_COUNTED = {"messages": whole(), "digest": HASH}


@dataclass(frozen=True, kw_only=True)
class MessagesDigest(
    PeerVerb[Annotated[dict[str, Any], record({**_COUNTED, "mailboxes": named(record(_COUNTED), 100_000)})]],
    name="messages_digest",
    by=PEER,
    longest=16 << 20,
):
    """How many messages each mailbox has, and which."""


# --- files ---


@dataclass(frozen=True, kw_only=True)
class FilesDigest(
    PeerVerb[
        Annotated[
            dict[str, Any],
            record(
                {
                    "files": whole(),
                    "bytes": whole(),
                    "entries": whole(),
                    "digest": HASH,
                    "parts": row(*[HASH] * BUCKETS),
                }
            ),
        ]
    ],
    name="files_digest",
    by=PEER,
):
    """All of the home, or of the messages outside of it, as it is now. So it is with what follows here."""

    messages: bool = False


@dataclass(frozen=True, kw_only=True)
class Follows:
    token: Token


@dataclass(frozen=True, kw_only=True)
class FilesFollows(PeerVerb[Follows], name="files_follows", by=PEER):
    """Which watcher of the source the copy follows: told with a `token`, asked without."""

    token: Token = None
    messages: bool = False


@dataclass(frozen=True, kw_only=True)
class Lines:
    lines: Annotated[list[str], each(text(2 << 20, _LINE), MANY)]


@dataclass(frozen=True, kw_only=True)
class FilesListed(PeerVerb[Lines], name="files_listed", by=PEER, longest=LONG):
    """The lines of the last digest that belong to these parts."""

    parts: Annotated[list[Annotated[int, whole(0, BUCKETS - 1)]], Most(BUCKETS)]
    messages: bool = False


@dataclass(frozen=True, kw_only=True)
class FilesLook(
    PeerVerb[
        Annotated[
            dict[str, Any],
            record(
                {"lines": named(row(whole(), text(2 << 20, _REST)), MANY, _PATH), "strange": each(_PATH, MANY)},
            ),
        ]
    ],
    name="files_look",
    by=PEER,
    longest=LONG,
):
    """What is at these paths."""

    paths: Paths
    messages: bool = False


@dataclass(frozen=True, kw_only=True)
class FilesRemove(PeerVerb[Nothing], name="files_remove", by=PEER):
    paths: Paths
    messages: bool = False


@dataclass(frozen=True, kw_only=True)
class FilesSettle(PeerVerb[Nothing], name="files_settle", by=PEER):
    """Make these paths durable."""

    paths: Paths
    messages: bool = False


@dataclass(frozen=True, kw_only=True)
class FilesLinks(PeerVerb[Nothing], name="files_links", by=PEER):
    """Make these links among the messages, each with where it leads."""

    links: Annotated[dict[str, str], named(_PATH, MANY, _PATH)]


@dataclass(frozen=True, kw_only=True)
class FilesSettleAll(PeerVerb[Nothing], name="files_settle_all", by=PEER):
    """Make all that was copied durable."""

    messages: bool = False


# --- databases of any engine ---


@dataclass(frozen=True, kw_only=True)
class Bytes:
    bytes: int


Said = Annotated[list[Remark], Most(10_000)]
TABLE = row(NAME, NAME)
Tables = Annotated[list[Any], each(TABLE, 1_000_000)]
COUNTED = row(whole(), maybe(tree(100)))
CONTENTS = record(
    {"tables": named(COUNTED), "sequences": named(tree()), "objects": named(tree())}, **{"large objects": tree()}
)
DIGEST = {"databases": named(CONTENTS), "tables": whole(), "rows": whole()}
