"""What the other server of a move may ask of an account's PostgreSQL databases here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from ..host.codec import Most
from ..host.shapes import each, flag, maybe, named, number, one_of, record, row, sentence, text, tree, whole
from .definitions import LARGE_OBJECT, NAME, POSTGRESQL_DATABASES, POSTGRESQL_GRANTS, POSTGRESQL_ROLES
from .peers import CONTENTS, COUNTED, DIGEST, HASH, LONG, MANY, TABLE, Bytes, Name, Said, Tables
from .reports import Sentences
from .verb import PEER, Nothing, PeerVerb, part_of

_ENGINE = part_of("postgresql")
_SEQUENCES = each(row(NAME, NAME, whole(-(1 << 63)), flag), 1_000_000)
_QUESTION = record(
    {
        "keys": named(
            record(
                {"schema": NAME, "table": NAME, "columns": each(NAME, 2000)}
                | {"keys": each(each(text(1 << 20), 2000), MANY)}
            )
        ),
        "whole": each(TABLE, 1_000_000),
    },
    large=flag,
)
_LOOKED = record(
    {
        "changed": each(NAME, 1_000_000),
        "sequences": _SEQUENCES,
        "rows": named(each(maybe(HASH), MANY)),
        "whole": named(maybe(COUNTED)),
    },
    large=named(whole(-(1 << 63)), name=text(10, "[0-9]+")),
)

Names = Annotated[list[Name], Most(100_000)]
Roles = Annotated[dict[str, Any], POSTGRESQL_ROLES]
Databases = Annotated[dict[str, Any], POSTGRESQL_DATABASES]
Grants = Annotated[dict[str, Any], POSTGRESQL_GRANTS]
Slot = Annotated[str, text(20, "th_follow_[0-9]+")]
Facts = Annotated[dict[str, Any], named(tree())]


@dataclass(frozen=True, kw_only=True)
class StreamUp(PeerVerb[Nothing], name="stream_up", by=PEER | _ENGINE):
    """Wait until the source's program for a slot has come."""

    slot: Slot
    seconds: Annotated[float, number(60)]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """`refused`: [database, object, sentence] of each setting that this server does not take."""

    left: Sentences
    kept: Names
    refused: Annotated[list[Any], each(row(maybe(NAME), maybe(NAME), sentence()), 100_000)]


@dataclass(frozen=True, kw_only=True)
class Prepare(PeerVerb[Prepared], name="postgres_prepare", by=PEER | _ENGINE):
    """Make the roles, and the databases empty, but for those to `keep`."""

    roles: Roles
    databases: Databases
    keep: Names


@dataclass(frozen=True, kw_only=True)
class RoleFacts(PeerVerb[Facts], name="postgres_roles", by=PEER | _ENGINE):
    """What the account's roles will be."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A database that is sent. `identities`: the replica identities that its tables are to have; `apart`: rows, or the
    materialized `views`, come by themselves."""

    database: Name
    identities: Annotated[list[Any], each(row(NAME, NAME, one_of("d", "n")), 1_000_000)]
    apart: bool
    views: Tables
    grants: Grants


@dataclass(frozen=True, kw_only=True)
class Restore(PeerVerb[Bytes], Restored, name="postgres_restore", by=PEER | _ENGINE):
    """Take an archive, which is streamed."""


@dataclass(frozen=True, kw_only=True)
class Complete(PeerVerb[Nothing], Restored, name="postgres_complete", by=PEER | _ENGINE):
    """The rows that came apart are all there."""


@dataclass(frozen=True, kw_only=True)
class Fill(PeerVerb[Bytes], name="postgres_fill", by=PEER | _ENGINE):
    """Take the rows of one table, which are streamed."""

    database: Name
    schema: Name
    table: Name


@dataclass(frozen=True, kw_only=True)
class Contents(
    PeerVerb[Annotated[dict[str, Any], CONTENTS]], name="postgres_contents", by=PEER | _ENGINE, longest=LONG
):
    """The digest of a database; tables that came `apart` are hashed as they came."""

    database: Name
    apart: Tables | None = None


@dataclass(frozen=True, kw_only=True)
class TableDigests(
    PeerVerb[Annotated[dict[str, Any], named(COUNTED)]], name="postgres_tables", by=PEER | _ENGINE, longest=LONG
):
    """The rows and hash of each of these tables."""

    database: Name
    tables: Tables


@dataclass(frozen=True, kw_only=True)
class Subscribe(PeerVerb[Nothing], name="postgres_subscribe", by=PEER | _ENGINE):
    """Apply what has changed since the slot was made. `forced`: a table has row security that binds its owner, too."""

    database: Name
    slot: Slot
    forced: bool


@dataclass(frozen=True, kw_only=True)
class CatchUp(
    PeerVerb[Annotated[dict[str, str], named(one_of("applied", "late", "broken"), 100_000)]],
    name="postgres_catch_up",
    by=PEER | _ENGINE,
):
    """Wait until each database has applied the log up to `lsn`, then set its sequences."""

    seconds: Annotated[float, number(600)]
    databases: Annotated[dict[str, Any], named(record({"lsn": whole(), "sequences": _SEQUENCES}), 100_000)]

    def unfit(self, result: dict[str, str]) -> str | None:
        return _all_named(self.databases, result)


@dataclass(frozen=True, kw_only=True)
class Look(
    PeerVerb[Annotated[dict[str, Any], named(_LOOKED, 100_000)]], name="postgres_look", by=PEER | _ENGINE, longest=LONG
):
    """A hash of each row that has one of these keys."""

    databases: Annotated[dict[str, Any], named(_QUESTION, 100_000)]

    def unfit(self, result: dict[str, Any]) -> str | None:
        if unfit := _all_named(self.databases, result):
            return unfit
        for name, question in self.databases.items():
            asked = {table: len(rows["keys"]) for table, rows in question["keys"].items()}
            if {table: len(hashes) for table, hashes in result[name]["rows"].items()} != asked:
                return ".rows: an answer to each key was expected"
            if question.get("large") and "large" not in result[name]:
                return ".large: it is missing"
        return None


def _all_named(asked: dict[str, Any], answered: dict[str, Any]) -> str | None:
    return None if {*asked} == {*answered} else ": what was asked for was expected"


@dataclass(frozen=True, kw_only=True)
class WriteLarge(PeerVerb[Nothing], name="postgres_large", by=PEER | _ENGINE):
    """Write pages of a large object; a `new` one is made anew, one without `facts` is gone."""

    database: Name
    oid: Annotated[int, whole(1, (1 << 32) - 1)]
    facts: Annotated[list[Any] | None, maybe(LARGE_OBJECT)]
    new: bool
    pages: Annotated[list[Any], each(row(whole(), text(1 << 17, "[0-9a-f]*")), 100_000)]


@dataclass(frozen=True, kw_only=True)
class Digest(
    PeerVerb[Annotated[dict[str, Any], record({**DIGEST, "roles": named(tree())})]],
    name="postgres_digest",
    by=PEER | _ENGINE,
    longest=LONG,
):
    """All of the account's databases and roles, as they are now."""


# --- a test's copy ---


@dataclass(frozen=True, kw_only=True)
class CopyPrepared:
    left: Sentences
    said: Said


@dataclass(frozen=True, kw_only=True)
class PrepareCopy(PeerVerb[CopyPrepared], name="duplicate_postgresql_prepare", by=PEER):
    """Roles, and databases without the extensions that nobody may make there."""

    roles: Roles
    databases: Databases


@dataclass(frozen=True, kw_only=True)
class CopyRestored:
    """`empty`: the tables whose rows were refused."""

    bytes: int
    said: Said
    empty: Annotated[list[Name], Most(10_000)]


@dataclass(frozen=True, kw_only=True)
class RestoreCopy(PeerVerb[CopyRestored], name="duplicate_postgresql_restore", by=PEER):
    """Take an archive, which is streamed, as far as it goes."""

    database: Name
    grants: Grants


@dataclass(frozen=True, kw_only=True)
class CopyObjects:
    """Kind and identity of each."""

    objects: Annotated[list[Any], each(row(text(1000), text(10_000)), 1_000_000)]


@dataclass(frozen=True, kw_only=True)
class ObjectsOfCopy(PeerVerb[CopyObjects], name="duplicate_postgresql_objects", by=PEER, longest=LONG):
    """What a customer has made in a database, as it is there."""

    database: Name
