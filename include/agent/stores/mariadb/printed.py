"""What two versions of MariaDB print differently and mean alike, brought to one form."""

from __future__ import annotations

import re
from collections.abc import Collection

_HEX = re.compile(r"x'((?:[0-9a-f]{2})*)'", re.IGNORECASE)
_TEXT = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPES = {"0": "\0", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
_TEMPORAL = re.compile(r"((?:datetime|timestamp|time)(?:\(\d\))?) /\* mariadb-5\.3 \*/")
# `name`( stands for a stored function in what the server prints of a view: functions of its own have no quotes there.
_CALL = re.compile(rb"'(?:[^'\\]|''|\\.)*'|(?P<at>\.?)(?P<name>`(?:[^`]|``)+`)(?P<call>\(?)", re.DOTALL)


def default(text: str | None, binary: bool) -> str | None:
    """A column's default as information_schema prints it; that of a binary column as its bytes, in hexadecimal: 10.11
    prints them as text, 11.8 as x'...'. Of bytes that are no ASCII only their number is in it: 10.11 prints ? for each
    that is no text."""
    if text is None or not binary:
        return text
    if match := _HEX.fullmatch(text):
        return _as_printed(bytes.fromhex(match[1]))
    if match := _TEXT.fullmatch(text):
        plain = re.sub(
            r"''|\\(.)",
            lambda escape: _ESCAPES.get(escape[1], escape[1]) if escape[1] else "'",
            match[1],
            flags=re.DOTALL,
        )
        return _as_printed(plain.encode("utf-8", "surrogateescape"))
    return text


def _as_printed(value: bytes) -> str:
    return f"x'{bytes(byte if byte < 0x80 else ord('?') for byte in value).hex()}'"


def column_type(text: str | None) -> str | None:
    """A column's type without the mark of how an old table stores its times: a copy stores them the new way."""
    match = _TEMPORAL.fullmatch(text or "")
    return match[1] if match else text


def options(text: str | None) -> str | None:
    """A table's options without Aria's PAGE_CHECKSUM=1, which a dump says and a CREATE TABLE need not."""
    return text if text is None else " ".join(option for option in text.split(" ") if option != "page_checksum=1")


def qualified(statement: bytes, database: bytes, functions: Collection[bytes]) -> bytes:
    """A view's statement with its database before each call of a stored function there: a later version may have a
    function of its own of that name, which would be meant."""

    def qualify(match: re.Match[bytes]) -> bytes:
        whole = match[0]
        if not match["name"] or match["at"] or not match["call"]:
            return whole
        name = match["name"][1:-1].replace(b"``", b"`")
        if name.lower() not in functions:
            return whole
        return b"`" + database.replace(b"`", b"``") + b"`." + whole

    return _CALL.sub(qualify, statement)
