"""What a server says of itself and of the accounts on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from ..account.engines import DECLARED, ENGINES, DeclaredEngine
from ..host.codec import Most
from ..host.shapes import Shape, each, flag, maybe, named, number, record, sentence, text, tree, whole

_ANY = tree()
_NAME = text(1000)
_WORD = text(40, "[a-z_]*")
_ACCOUNT = text(64, r"[a-z][a-z0-9_-]*(\.[a-z]+)?")
_HOST = text(253, r"[a-z0-9.-]+")
_ADDRESS = text(45, "[0-9a-fA-F:.]+")
_SEEN = maybe(number(1e11))
_EPOCH = whole(0, 1 << 31)
_DATABASES = each(record({"name": _NAME, "bytes": whole()}), 100_000)
_LEFT = {"to": maybe(_ADDRESS), "move": maybe(text(48)), "epoch": _EPOCH, "released": flag, "since": _SEEN}
_ACCOUNT_FILE = record(
    {
        "account": _ACCOUNT,
        "uid": whole(1000, 1 << 31),
        "gid": whole(1000, 1 << 31),
        "home": text(4096),
        "shell": text(4096),
    }
    | {key: _ANY for key in ("sites", *ENGINES, "mail")},
    ports=named(whole(1, 65535), 10),
    extras=each(text(4096), 1000),
    provisioned=flag,
)


def _in_engine(engine: DeclaredEngine) -> Shape:
    """What a server says of an account in an engine: the lists of the account file, with the databases' size."""
    lists = {
        key: each(record(dict.fromkeys(names.keys, _NAME)) if names.keys else _NAME, 100_000)
        for key, names in engine.lists.items()
    }
    return record({**lists, "databases": _DATABASES})


_SITE = record({"domain": _HOST, "aliases": each(_HOST, 10_000), "root": maybe(text(4096))}, app=text(1000))
_DESCRIBED = record(
    {
        "account": _ACCOUNT,
        "state": _WORD,
        "epoch": _EPOCH,
        "move": maybe(text(48)),
        "to": maybe(_ADDRESS),
        "released": flag,
        "since": _SEEN,
        "engines": named(record({**_LEFT, "left": _ANY}), 10, _WORD),
        "sites": each(_SITE, 10_000),
        **{engine.name: _in_engine(engine) for engine in DECLARED},
        "mailboxes": each(text(400), 100_000),
        "crontab_lines": whole(),
        "certificates": each(_HOST, 10_000),
        "forwarded": named(record({"count": whole(), "last": _SEEN}), 100, text(40)),
        "home_bytes": whole(),
        "files": whole(),
        "account_file": _ACCOUNT_FILE,
    },
    test=_ANY,
    forwarders=each(text(400), 100_000),
)
Version = Annotated[str, text(100, r"[\w.+:~/-]*")]
Entry = Annotated[dict[str, Any], _DESCRIBED]
"""An account, or the part of one. It has bounds and no class: it is kept and shown as it is, and what stands in it of
each engine goes by the engine's name."""
Readiness = Annotated[
    dict[str, Any],
    record(
        {
            "time": number(1e11),
            "sshd": named(text(1000), 50, _WORD),
            "host_keys": each(text(1200, "[A-Za-z0-9+/= -]+"), 10),
            "addresses": each(_ADDRESS, 1000),
            "missing_programs": each(text(40, "[a-z-]+"), 50),
            "unfollowed": named(sentence(1000), 10, _WORD),
            "fronts": each(text(60, "[0-9a-fA-F:./]+"), 1000),
            "no_front": each(sentence(1000), 100),
        },
        steps=each(text(40, "[a-z]+"), 10),
        wrong_steps=each(sentence(1000), 100),
    ),
]
"""What of a server a move needs. It has bounds and no class either: it is judged as it is kept, and a server without an
agent by a part of it."""


@dataclass(frozen=True, kw_only=True)
class Disk:
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a server says of itself. `unclaimed`: databases by engine, and users, that are no account's."""

    hostname: Annotated[str, text(253, r"[\w.-]*")]
    debian: Version
    versions: Annotated[dict[str, Version], Most(50, _WORD)]
    services_down: Annotated[list[Annotated[str, text(100, r"[\w@.-]+")]], Most(100)]
    boot_id: Annotated[str, text(40, "[0-9a-f-]*")]
    agent_digest: Annotated[str, text(64, "[0-9a-f]*")]
    disk: Disk
    memory_bytes: int
    cpus: Annotated[int, whole(1, 1 << 20)]
    test_server: Annotated[str | None, maybe(_HOST)]
    accounts: Annotated[list[Entry], Most(10_000)]
    parts: Annotated[list[Entry], Most(10_000)]
    unclaimed: Annotated[dict[str, list[str]], named(each(_NAME, 100_000), 10, _WORD)]
    # Accounts whose own file or state cannot be read; an agent of before does not tell them.
    unreadable: Annotated[list[str] | None, maybe(each(text(1000), 10_000))] = None
    # An agent of before does not tell them.
    readiness: Readiness | None = None
    layout: Annotated[str | None, maybe(_WORD)] = None
