"""What the other server of a move may ask of an account's MariaDB databases here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from ..host.codec import Most
from ..host.shapes import each, holding, maybe, named, record, row, text, tree
from .definitions import MARIADB, NAME
from .peers import DIGEST, LONG, MANY, SHORT, Bytes, Follows, Name, Said, Tables, Token
from .verb import PEER, Nothing, PeerVerb, part_of

_ENGINE = part_of("mariadb")
_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"

DEFINED = tuple(MARIADB)
"""What is told of users and databases."""
Objects = Annotated[
    list[dict[str, Any]],
    each(
        holding(
            {"database": NAME, "kind": text(40), "name": NAME, "statement": text(LONG, _BASE64)}, maybe(text(SHORT))
        ),
        1_000_000,
    ),
]


def told(definition: dict[str, Any]) -> dict[str, Any]:
    """What of an account's definition is told."""
    return {key: definition[key] for key in DEFINED}


@dataclass(frozen=True, kw_only=True)
class Defined:
    """The account's databases, users, roles, which roles are given to whom, and events."""

    databases: Annotated[dict[str, Any], MARIADB["databases"]]
    users: Annotated[list[dict[str, Any]], MARIADB["users"]]
    roles: Annotated[list[dict[str, Any]], MARIADB["roles"]]
    given: Annotated[list[Any], MARIADB["given"]]
    events: Annotated[list[Any], MARIADB["events"]]


@dataclass(frozen=True, kw_only=True)
class Prepare(PeerVerb[Nothing], Defined, name="mariadb_prepare", by=PEER | _ENGINE):
    """Make the users, locked, and the databases, empty. `token`: of the following that they are for."""

    token: Token = None


@dataclass(frozen=True, kw_only=True)
class Expect(PeerVerb[Nothing], Defined, name="mariadb_expect", by=PEER | _ENGINE):
    """What was prepared has changed; what is in the databases of `empty` is dropped."""

    token: Token
    empty: Annotated[list[Name], Most(100_000)]


@dataclass(frozen=True, kw_only=True)
class WhichFollowed(PeerVerb[Follows], name="mariadb_followed", by=PEER | _ENGINE):
    """Which following the databases were made for."""


@dataclass(frozen=True, kw_only=True)
class MakeObjects(PeerVerb[Nothing], name="mariadb_objects", by=PEER | _ENGINE):
    """Make routines, views, triggers and events (disabled), then the users' grants on all of it."""

    objects: Objects


@dataclass(frozen=True, kw_only=True)
class Restore(PeerVerb[Bytes], name="mariadb_restore", by=PEER | _ENGINE):
    """Take a dump of tables, which is streamed."""

    database: Name


@dataclass(frozen=True, kw_only=True)
class Load(PeerVerb[Bytes], name="mariadb_load", by=PEER | _ENGINE):
    """Take the rows of a table, which are streamed. `columns`: each name, and how it is written."""

    database: Name
    table: Name
    columns: Annotated[list[Any], each(row(NAME, maybe(NAME)), 5000)]


@dataclass(frozen=True, kw_only=True)
class RunQuietly(PeerVerb[Nothing], name="mariadb_quiet", by=PEER | _ENGINE):
    """Run one long statement in a session of its own."""

    statement: Annotated[str, text(LONG)]


@dataclass(frozen=True, kw_only=True)
class Rows:
    rows: Annotated[list[list[list[str | None]]], each(each(each(maybe(text(LONG)), 5000), MANY), MANY)]


@dataclass(frozen=True, kw_only=True)
class Run(PeerVerb[Rows], name="mariadb_run", by=PEER | _ENGINE, longest=LONG):
    """Run statements that the source has worded; `tables`: those that they write to."""

    statements: Annotated[list[str], each(text(LONG), MANY)]
    tables: Tables | None = None

    def unfit(self, result: Rows) -> str | None:
        same = len(self.statements) == len(result.rows)
        return None if same else ".rows: the rows of each statement were expected"


@dataclass(frozen=True, kw_only=True)
class Warm(PeerVerb[Nothing], name="mariadb_warm", by=PEER | _ENGINE):
    """Open the sessions that the hold will want."""


@dataclass(frozen=True, kw_only=True)
class Sync(PeerVerb[Nothing], name="mariadb_sync", by=PEER | _ENGINE):
    """Bring tables of engines that keep no log of their own to the disk."""

    tables: Tables


@dataclass(frozen=True, kw_only=True)
class Digest(
    PeerVerb[Annotated[dict[str, Any], record({**DIGEST, "users": named(tree())})]],
    name="mariadb_digest",
    by=PEER | _ENGINE,
    longest=LONG,
):
    """All of the account's databases and users, as they are now."""


@dataclass(frozen=True, kw_only=True)
class FactsOfAll(
    PeerVerb[
        Annotated[
            dict[str, Any],
            record(
                {"users": named(tree()), "roles": tree(), "given": tree()}
                | {"objects": named(named(named(each(tree(), 100_000))))}
            ),
        ]
    ],
    name="mariadb_facts",
    by=PEER | _ENGINE,
    longest=LONG,
):
    """All that is no row and no number."""


# --- a test's copy ---


@dataclass(frozen=True, kw_only=True)
class CopyRestored:
    """`failed`: the tables of which something was refused."""

    bytes: int
    said: Said
    failed: Annotated[list[Name], Most(10_000)]


@dataclass(frozen=True, kw_only=True)
class RestoreCopy(PeerVerb[CopyRestored], name="duplicate_mariadb_restore", by=PEER):
    """Take a dump of tables, which is streamed, as far as it goes."""

    database: Name


@dataclass(frozen=True, kw_only=True)
class CopyMade:
    said: Said


@dataclass(frozen=True, kw_only=True)
class MakeObjectsOfCopy(PeerVerb[CopyMade], name="duplicate_mariadb_objects", by=PEER, longest=16 << 20):
    """Make what can be made, and grant what can be granted."""

    objects: Objects
