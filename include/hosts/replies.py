"""What a server's agent may answer the orchestrator: nothing of a reply is looked at before it went through here.

A server belongs to its customers as much as to the host: one that was taken over may say anything, at any length.
"""

from __future__ import annotations

from typing import Any

from include.agent.account.engines import DECLARED, ENGINES, DeclaredEngine
from include.agent.host.shapes import (
    Shape,
    Strange,
    each,
    flag,
    maybe,
    named,
    number,
    parsed,
    record,
    sentence,
    text,
    tree,
    whole,
)

_USUAL = 1 << 20
_LONG = {"describe": 16 << 20, "status": 16 << 20, "start": 16 << 20}
"""Bytes of a reply, where it may be longer than a usual one: a server's accounts, a test's report."""

_ANY = tree()
_NOTHING = record({})
_NAME = text(1000)
_WORD = text(40, "[a-z_]*")
_ACCOUNT = text(64, r"[a-z][a-z0-9_-]*(\.[a-z]+)?")
_HOST = text(253, r"[a-z0-9.-]+")
_ADDRESS = text(45, "[0-9a-fA-F:.]+")
_SEEN = maybe(number(1e11))
_STANDING = {"state": _WORD, "epoch": whole(0, 1 << 31)}
_SENTENCES = each(sentence(), 100_000)
_DATABASES = each(record({"name": _NAME, "bytes": whole()}), 100_000)
_LEFT = {"to": maybe(_ADDRESS), "move": maybe(text(48)), "epoch": whole(0, 1 << 31), "released": flag, "since": _SEEN}
_ACCOUNT_FILE = record(
    {"account": _ACCOUNT, "uid": whole(1000, 59999), "gid": whole(1000, 59999), "home": text(100), "shell": text(100)}
    | {key: _ANY for key in ("sites", *ENGINES, "mail")},
    ports=named(whole(1, 65535), 10),
)


def _in_engine(engine: DeclaredEngine) -> Shape:
    """What a server says of an account in an engine: the lists of the account file, with the databases' size."""
    lists = {
        key: each(record(dict.fromkeys(names.keys, _NAME)) if names.keys else _NAME, 100_000)
        for key, names in engine.lists.items()
    }
    return record({**lists, "databases": _DATABASES})


_SITE = record({"domain": _HOST, "aliases": each(_HOST, 10_000), "root": text(1000)}, app=text(1000))
_DESCRIBED = record(
    {
        **_STANDING,
        "account": _ACCOUNT,
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
_VERSION = text(100, r"[\w.+:~/-]*")
_DESCRIPTION = record(
    {
        "hostname": text(253, r"[\w.-]*"),
        "debian": _VERSION,
        "versions": named(_VERSION, 50, _WORD),
        "services_down": each(text(100, r"[\w@.-]+"), 100),
        "boot_id": text(40, "[0-9a-f-]*"),
        "agent_digest": text(64, "[0-9a-f]*"),
        "disk": record({"total_bytes": whole(), "free_bytes": whole()}),
        "memory_bytes": whole(),
        "cpus": whole(1, 1 << 20),
        "test_server": maybe(_HOST),
        "accounts": each(_DESCRIBED, 10_000),
        "parts": each(_DESCRIBED, 10_000),
        "unclaimed": named(each(_NAME, 100_000), 10, _WORD),
    }
)
_ERROR = record({"code": text(64, "[a-z][a-z0-9_]*"), "message": sentence()})
_STATUS = record(
    {
        "state": _WORD,
        "progress": record(
            {}, text=sentence(), step=sentence(100), done_bytes=whole(), total_bytes=whole(), at=number()
        ),
        "result": maybe(named(_ANY)),
        "error": maybe(_ERROR),
        "seconds": number(),
    },
    verb=_WORD,
    args=_ANY,
)

RESULTS: dict[str, Shape] = {
    "accept_ips": _NOTHING,
    "become_test_server": record({"test_server": _HOST}),
    "create": record(_STANDING),
    "describe": _DESCRIPTION,
    "drain_ips": record({"still_open": whole()}),
    "drop_ips": _NOTHING,
    "drop_left": _NOTHING,
    "lead_to": record({"state": _WORD, "to": maybe(_ADDRESS)}),
    "left": record(_STANDING),
    "open_test": record(_STANDING, names=named(_HOST, 10_000), stores=each(_WORD, 10), hosts=named(_HOST, 10_000)),
    "pair": record({"public_key": text(1200, "[A-Za-z0-9+/= -]+")}),
    "prove_empty": record({"empty": flag, "because": _SENTENCES}),
    "receive": record({"host_keys": each(text(1200, "[A-Za-z0-9+/= -]+"), 10)}),
    "remove": _NOTHING,
    "reset_ips": record({"reset": whole()}),
    "return": record(_STANDING),
    "start": _STATUS,
    "status": _STATUS,
    "take_back": record(_STANDING),
    "unpair": _NOTHING,
}
"""What each verb gives."""


class Refusal(Exception):
    """The agent's own refusal: `code` and `message`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def longest(verb: str) -> int:
    """Bytes that a reply to this verb may have."""
    return _LONG.get(verb, _USUAL)


def reply(verb: str, output: bytes) -> dict[str, Any]:
    """The result that a reply holds; Refusal where the agent refuses, Strange where it is no reply to this verb."""
    if len(output) > longest(verb):
        raise Strange(f": {longest(verb)} bytes at most were expected")
    said = parsed(output)
    if record({"ok": flag})(said)["ok"]:
        result: dict[str, Any] = record({"result": RESULTS[verb]})(said)["result"]
        return result
    error = record({"error": _ERROR})(said)["error"]
    raise Refusal(error["code"], error["message"])
