"""What the long verbs give: how far two copies are equal, what a move measured, what a test found.

Some of it is kept for years: by the registry, and on the server that an account has left. What an earlier release did
not say has a default, and what a later one says besides is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from ..host.codec import Most
from ..host.scope import Scope
from ..host.shapes import sentence, text

Word = Annotated[str, text(40, "[a-z_]*")]
Sentence = Annotated[str, sentence()]
Sentences = Annotated[list[Sentence], Most(100_000)]
ShownName = Annotated[str, sentence(1000)]
"""To be read by a person, and not to be asked for."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a database goes over, and why: its changes are followed, or it is dumped whole inside the hold."""

    store: ShownName
    database: ShownName
    way: ShownName
    why: Sentence = ""


Scopes = Annotated[dict[str, Scope], Most(20)]
"""By part of the account, what the proof covers."""
Ways = Annotated[list[Way], Most(100_000)]


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What `copy` brought over and proved. `left`: what the account has and is not carried, a sentence each; `stores`:
    the seconds that each took."""

    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    verify_seconds: float = 0.0
    stores: Annotated[dict[str, float], Most(10)] = field(default_factory=dict)
    left: Sentences = field(default_factory=list)
    scope: Scopes = field(default_factory=dict)
    ways: Ways = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Verified:
    """How much was compared, and whether all of it was equal."""

    files: int = 0
    bytes: int = 0
    tables: int = 0
    rows: int = 0
    messages: int = 0
    equal: bool = False


@dataclass(frozen=True, kw_only=True)
class Compared(Verified):
    """What `verify` found. `differences`: a sentence each."""

    differences: Sentences = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a hold or of a release, and how long it took."""

    name: Annotated[str, sentence(200)]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How many a hold cut short."""

    requests: int = 0
    processes: int = 0


@dataclass(frozen=True, kw_only=True)
class Switched:
    """What a `switch` that has committed measured and proved. `expected_ms`: the hold as its rehearsal foresaw it;
    `held_at`: when it began, in Unix time; `left`: what was not carried, None where nothing was said of it."""

    expected_ms: float | None = None
    held_ms: float | None = None
    held_at: float | None = None
    steps: Annotated[list[Step], Most(10_000)] = field(default_factory=list)
    verified: Verified | None = None
    cut: Cut | None = None
    left: Sentences | None = None
    scope: Scopes = field(default_factory=dict)
    ways: Ways = field(default_factory=list)


# --- a test's ---


@dataclass(frozen=True, kw_only=True)
class Remark:
    """What a server said of an object when it restored it. `store`: which it lies in, once that is not plain."""

    store: ShownName = ""
    database: Sentence | None
    severity: Literal["error", "warning"]
    object: Sentence | None
    message: Sentence


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A database that a move would copy while visitors wait, and why."""

    store: ShownName
    database: ShownName
    message: Sentence


@dataclass(frozen=True, kw_only=True)
class Missing:
    """An object that did not come over."""

    store: ShownName
    database: ShownName
    object: ShownName


@dataclass(frozen=True, kw_only=True)
class Duplicated:
    """What `duplicate` copied for a test. `stores`: the seconds that each took; `left`: what is not carried, a sentence
    each."""

    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    stores: Annotated[dict[str, float], Most(10)] = field(default_factory=dict)
    left: Sentences = field(default_factory=list)
    said: Annotated[list[Remark], Most(1_000_000)] = field(default_factory=list)
    waits: Annotated[list[Wait], Most(100_000)] = field(default_factory=list)
    missing: Annotated[list[Missing], Most(1_000_000)] = field(default_factory=list)


_Place = Annotated[str, sentence(300)]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A place that a check has found, and how often `what` is there."""

    check: _Place
    where: _Place
    what: _Place
    count: int


@dataclass(frozen=True, kw_only=True)
class LookedAt:
    """How much a check went through, and for how long."""

    files: int = 0
    php_files: int = 0
    tables: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What `check` found, and what it did not look at, a sentence each. `php_extensions`: those that PHP has, in lower
    case; None where it was not asked, or does not say."""

    findings: Annotated[list[Finding], Most(100_000)] = field(default_factory=list)
    looked_at: LookedAt | None = None
    not_looked_at: Sentences = field(default_factory=list)
    php_extensions: Annotated[list[_Place], Most(10_000)] | None = None
