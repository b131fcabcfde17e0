"""What two servers of a move may say to each other: each verb's arguments, and the reply to them.

Neither believes the other. What is asked and what is answered goes through here before anything looks at it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..host.shapes import (
    Shape,
    Strange,
    each,
    flag,
    holding,
    maybe,
    named,
    number,
    one_of,
    parsed,
    record,
    row,
    sentence,
    text,
    tree,
    whole,
)
from ..host.system import Refused, refuse
from .peer_definitions import (
    ANY,
    LARGE_OBJECT,
    MARIADB,
    NAME,
    POSTGRESQL_DATABASES,
    POSTGRESQL_GRANTS,
    POSTGRESQL_ROLES,
)
from .walk_format import BUCKETS, FIELDS

LONGEST_REQUEST = 64 << 20
"""Bytes."""
_SHORT, _LONG = 1 << 20, 64 << 20
_MANY = 5_000_000
_CODE = text(64, "[a-z][a-z0-9_]*")

_NOTHING = record({})
_TOKEN = maybe(text(200))
_HASH = text(64, "[0-9a-f]*")
_PATH = text(1 << 20, r"[^\0]+")
_FIELD = r"[^\0\t\n]*"
_REST = rf"{_FIELD}(?:\t{_FIELD}){{{len(FIELDS) - 1}}}"
"""What is said of an entry of a home, behind its path."""
_LINE = rf"{_FIELD}\t{_REST}"
_SLOT = text(20, "th_follow_[0-9]+")
_NUMBER = whole(-(1 << 63))
_TABLE = row(NAME, NAME)
_TABLES = each(_TABLE, 1_000_000)
_COUNTED = row(whole(), maybe(tree(100)))
_SEQUENCES = each(row(NAME, NAME, _NUMBER, flag), 1_000_000)
_BYTES = record({"bytes": whole()})
_SAID = each(
    record(
        {"database": maybe(sentence()), "severity": one_of("error", "warning"), "object": maybe(sentence())}
        | {"message": sentence()}
    ),
    10_000,
)
_SENTENCES = each(sentence(), 100_000)
_DATABASE = record({"database": NAME})
_RESTORED = {
    "database": NAME,
    "identities": each(row(NAME, NAME, one_of("d", "n")), 1_000_000),
    "apart": flag,
    "views": _TABLES,
    "grants": POSTGRESQL_GRANTS,
}
_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_OBJECTS = each(
    holding({"database": NAME, "kind": text(40), "name": NAME, "statement": text(_LONG, _BASE64)}, maybe(text(_SHORT))),
    1_000_000,
)
_CONTENTS = record(
    {"tables": named(_COUNTED), "sequences": named(ANY), "objects": named(ANY)}, **{"large objects": ANY}
)
_DIGEST = {"databases": named(_CONTENTS), "tables": whole(), "rows": whole()}
_QUESTION = record(
    {
        "keys": named(
            record(
                {"schema": NAME, "table": NAME, "columns": each(NAME, 2000)}
                | {"keys": each(each(text(1 << 20), 2000), _MANY)}
            )
        ),
        "whole": _TABLES,
    },
    large=flag,
)
_LOOKED = record(
    {
        "changed": each(NAME, 1_000_000),
        "sequences": _SEQUENCES,
        "rows": named(each(maybe(_HASH), _MANY)),
        "whole": named(maybe(_COUNTED)),
    },
    large=named(_NUMBER, name=text(10, "[0-9]+")),
)


@dataclass(frozen=True)
class Word:
    """A verb: what it takes, what it gives, how long its reply may be, and what in a reply does not fit its request."""

    args: Shape
    reply: Shape
    longest: int = _SHORT
    unfit: Callable[[dict[str, Any], dict[str, Any]], str | None] = lambda _args, _reply: None


def _all_named(args: dict[str, Any], reply: dict[str, Any]) -> str | None:
    return None if {*args["databases"]} == {*reply} else ": what was asked for was expected"


def _looked(args: dict[str, Any], reply: dict[str, Any]) -> str | None:
    if said := _all_named(args, reply):
        return said
    for name, question in args["databases"].items():
        rows = reply[name]["rows"]
        asked = {table: len(what["keys"]) for table, what in question["keys"].items()}
        if {table: len(found) for table, found in rows.items()} != asked:
            return ".rows: an answer to each key was expected"
        if question.get("large") and "large" not in reply[name]:
            return ".large: it is missing"
    return None


def _each_statement(args: dict[str, Any], reply: dict[str, Any]) -> str | None:
    same = len(args["statements"]) == len(reply["rows"])
    return None if same else ".rows: the rows of each statement were expected"


WORDS: dict[str, Word] = {
    "alone": Word(
        record({"protocol": tree(100)}),
        record({"protocol": tree(100), "versions": named(each(whole(0, 10_000), 3), 10)}),
    ),
    "standing": Word(
        _NOTHING,
        record({"account": NAME, "state": text(40, "[a-z]*"), "epoch": whole(), "proof": maybe(text(64))}),
    ),
    "release": Word(
        record({"epoch": whole(), "commit_record": maybe(holding({}, ANY, proof=maybe(text(64))))}),
        record(
            {"state": text(40, "[a-z]*"), "steps": each(record({"name": sentence(100), "seconds": number()}), 1000)}
        ),
    ),
    "warm": Word(_NOTHING, _NOTHING),
    "part_port": Word(_NOTHING, record({"port": whole(1024, 65535)})),
    "stream_up": Word(record({"slot": _SLOT, "seconds": number(60)}), _NOTHING),
    "identity": Word(
        record(
            {"password_hash": text(1000), "expiry": text(40), "crontab": maybe(text(_SHORT))}
            | {"certificates": named(text(_SHORT), 10_000)}
        ),
        _NOTHING,
    ),
    "identity_digest": Word(_NOTHING, named(_HASH, 10, text(40))),
    "messages_digest": Word(
        _NOTHING,
        record(
            {"messages": whole(), "digest": _HASH}
            | {"mailboxes": named(record({"messages": whole(), "digest": _HASH}), 100_000)}
        ),
        16 << 20,
    ),
    # --- files ---
    "files_digest": Word(
        _NOTHING,
        record(
            {"files": whole(), "bytes": whole(), "entries": whole(), "digest": _HASH, "parts": row(*[_HASH] * 4096)}
        ),
    ),
    "files_follows": Word(record({}, token=_TOKEN), record({"token": _TOKEN})),
    "files_listed": Word(
        record({"parts": each(whole(0, BUCKETS - 1), BUCKETS)}),
        record({"lines": each(text(2 << 20, _LINE), _MANY)}),
        _LONG,
    ),
    "files_look": Word(
        record({"paths": each(_PATH, _MANY)}),
        record({"lines": named(row(whole(), text(2 << 20, _REST)), _MANY, _PATH), "strange": each(_PATH, _MANY)}),
        _LONG,
    ),
    "files_remove": Word(record({"paths": each(_PATH, _MANY)}), _NOTHING),
    "files_settle": Word(record({"paths": each(_PATH, _MANY)}), _NOTHING),
    "files_settle_all": Word(_NOTHING, _NOTHING),
    # --- PostgreSQL ---
    "postgres_prepare": Word(
        record({"roles": POSTGRESQL_ROLES, "databases": POSTGRESQL_DATABASES, "keep": each(NAME, 100_000)}),
        record(
            {"left": _SENTENCES, "kept": each(NAME, 100_000)}
            | {"refused": each(row(maybe(NAME), maybe(NAME), sentence()), 100_000)}
        ),
    ),
    "postgres_roles": Word(_NOTHING, named(ANY)),
    "postgres_restore": Word(record(_RESTORED), _BYTES),
    "postgres_fill": Word(record({"database": NAME, "schema": NAME, "table": NAME}), _BYTES),
    "postgres_complete": Word(record(_RESTORED), _NOTHING),
    "postgres_contents": Word(record({"database": NAME}, apart=_TABLES), _CONTENTS, _LONG),
    "postgres_tables": Word(record({"database": NAME, "tables": _TABLES}), named(_COUNTED), _LONG),
    "postgres_subscribe": Word(record({"database": NAME, "slot": _SLOT, "forced": flag}), _NOTHING),
    "postgres_catch_up": Word(
        record(
            {"seconds": number(600)} | {"databases": named(record({"lsn": whole(), "sequences": _SEQUENCES}), 100_000)}
        ),
        named(one_of("applied", "late", "broken"), 100_000),
        unfit=_all_named,
    ),
    "postgres_look": Word(record({"databases": named(_QUESTION, 100_000)}), named(_LOOKED, 100_000), _LONG, _looked),
    "postgres_large": Word(
        record(
            {"database": NAME, "oid": whole(1, (1 << 32) - 1), "facts": maybe(LARGE_OBJECT), "new": flag}
            | {"pages": each(row(whole(), text(1 << 17, "[0-9a-f]*")), 100_000)}
        ),
        _NOTHING,
    ),
    "postgres_digest": Word(_NOTHING, record({**_DIGEST, "roles": named(ANY)}), _LONG),
    # --- MariaDB ---
    "mariadb_prepare": Word(record(MARIADB, token=_TOKEN), _NOTHING),
    "mariadb_expect": Word(record({**MARIADB, "token": _TOKEN, "empty": each(NAME, 100_000)}), _NOTHING),
    "mariadb_followed": Word(_NOTHING, record({"token": _TOKEN})),
    "mariadb_objects": Word(record({"objects": _OBJECTS}), _NOTHING),
    "mariadb_restore": Word(_DATABASE, _BYTES),
    "mariadb_load": Word(
        record({"database": NAME, "table": NAME, "columns": each(row(NAME, maybe(NAME)), 5000)}), _BYTES
    ),
    "mariadb_quiet": Word(record({"statement": text(_LONG)}), _NOTHING),
    "mariadb_run": Word(
        record({"statements": each(text(_LONG), _MANY)}, tables=_TABLES),
        record({"rows": each(each(each(maybe(text(_LONG)), 5000), _MANY), _MANY)}),
        _LONG,
        _each_statement,
    ),
    "mariadb_warm": Word(_NOTHING, _NOTHING),
    "mariadb_sync": Word(record({"tables": _TABLES}), _NOTHING),
    "mariadb_digest": Word(_NOTHING, record({**_DIGEST, "users": named(ANY)}), _LONG),
    "mariadb_facts": Word(
        _NOTHING,
        record(
            {"users": named(ANY), "roles": ANY, "given": ANY} | {"objects": named(named(named(each(ANY, 100_000))))}
        ),
        _LONG,
    ),
    # --- a test's copy ---
    "duplicate_postgresql_prepare": Word(
        record({"roles": POSTGRESQL_ROLES, "databases": POSTGRESQL_DATABASES}),
        record({"left": _SENTENCES, "said": _SAID}),
    ),
    "duplicate_postgresql_restore": Word(
        record({"database": NAME, "grants": POSTGRESQL_GRANTS}),
        record({"bytes": whole(), "said": _SAID, "empty": each(NAME, 10_000)}),
    ),
    "duplicate_postgresql_objects": Word(
        _DATABASE, record({"objects": each(row(text(1000), text(10_000)), 1_000_000)}), _LONG
    ),
    "duplicate_mariadb_restore": Word(
        _DATABASE, record({"bytes": whole(), "said": _SAID, "failed": each(NAME, 10_000)})
    ),
    "duplicate_mariadb_objects": Word(record({"objects": _OBJECTS}), record({"said": _SAID}), 16 << 20),
}


def request(line: bytes) -> tuple[str, dict[str, Any]]:
    """What the other server asks for: (verb, arguments), each of its kind; refused otherwise."""
    try:
        found = record({"verb": text(100), "args": named(lambda value: value)})(parsed(line))
    except Strange as strange:
        refuse("bad_request", f'A request is {{"verb": ..., "args": {{...}}}}; this is none{strange}.')
    verb = found["verb"]
    if verb not in WORDS:
        refuse("unknown_verb", f"A peer may not call {verb!r:.60} here.")
    try:
        return verb, WORDS[verb].args(found["args"])
    except Strange as strange:
        refuse("bad_args", f"The arguments of {verb} are not what they must be{strange}.")


def reply(verb: str, args: dict[str, Any], line: bytes) -> dict[str, Any]:
    """What the other server answers; its refusal is raised, and what is no answer to this verb is refused."""
    word = WORDS[verb]
    try:
        if len(line) > word.longest:
            raise Strange(f": {word.longest} bytes at most were expected")
        said = parsed(line)
        if record({"ok": flag})(said)["ok"]:
            result: dict[str, Any] = record({"result": word.reply})(said)["result"]
            if unfit := word.unfit(args, result):
                raise Strange(unfit)
            return result
        error = record({"error": record({"code": _CODE, "message": sentence()})})(said)["error"]
    except Strange as strange:
        refuse(
            "strange_reply",
            f"The other server's answer to {verb} is not one{strange}; find out what answers there before this move is "
            "tried again.",
        )
    raise Refused(error["code"], f"On the peer: {error['message']}")
