"""What is looked for in texts: addresses as whole words, variables in SQL, patterns of the catalogue within a time."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

from .checks_found import Found

_PATIENCE = 2.0


def whole_word(address: str) -> str:
    """A regular expression (of Python's and of MariaDB's kind) for an address or host name that is no part of another.

    198.51.100.1 is neither in 198.51.100.10 nor in 8.198.51.100.1, but at the end of a sentence it is."""
    colon = ":" if ":" in address else ""
    text = re.sub(r"[.:]", lambda found: f"[{found[0]}]", address)
    return f"(?<![A-Za-z0-9_.{colon}])(?<![A-Za-z0-9_]-){text}(?![A-Za-z0-9_{colon}]|[.-][A-Za-z0-9_])"


@cache
def _address_pattern(addresses: tuple[str, ...]) -> re.Pattern[bytes]:
    longest_first = sorted(addresses, key=len, reverse=True)
    return re.compile("|".join(f"({whole_word(address)})" for address in longest_first).encode(), re.IGNORECASE)


def addresses_in(content: bytes, addresses: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """(address, where it begins) of each of these addresses in a text."""
    for found in _address_pattern(addresses).finditer(content):
        yield found[0].decode().lower(), found.start()


@cache
def _variable_pattern(name: str) -> re.Pattern[str]:
    word = rf"`?{re.escape(name)}`?(?![A-Za-z0-9_$])"
    scope = r"(?:(?:global|session|local)\s+|@@(?:global|session|local)\s*\.\s*|@@)?"
    shown = r"(?<![A-Za-z0-9_@])show\s+(?:(?:global|session|local)\s+)?variables\s+like\s+['\"]"
    assigned = rf"(?<![A-Za-z0-9_@])set\s+(?:[^;]{{0,500}}?,\s*)?{scope}{word}\s*:?="
    return re.compile(rf"@@(?:(?:global|session|local)\s*\.\s*)?{word}|{shown}{word}|{assigned}", re.IGNORECASE)


def uses_variable(sql: str, name: str) -> bool:
    """Whether a text of SQL reads or sets this variable of the server. A column of the same name that an UPDATE sets
    is none."""
    found = _variable_pattern(name).search(sql)
    return found is not None and not re.match(r"\s*update\s", sql, re.IGNORECASE)


_SQL_PARTS = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`[^`]*`|(--(?=\s)[^\n]*|/\*(?![!M]).*?\*/%s)"
_MARIADB_PARTS = re.compile(_SQL_PARTS % r"|\#[^\n]*", re.DOTALL)
_POSTGRESQL_PARTS = re.compile(_SQL_PARTS.replace(r"(?=\s)", "").replace("(?![!M])", "") % "", re.DOTALL)


def without_comments(sql: str, engine: str) -> str:
    """SQL with a space in place of each comment; what MariaDB runs of them (`/*! ... */`) stays."""
    parts = _MARIADB_PARTS if engine == "mariadb" else _POSTGRESQL_PARTS
    return parts.sub(lambda found: " " if found[1] else found[0], sql)


class TooLong(Exception):
    """A pattern took longer with a text than it is given."""


@contextmanager
def in_time(seconds: float = _PATIENCE) -> Iterator[None]:
    """Raises TooLong when the block lasts longer: a text can be made so that a pattern never ends with it.

    Only in a process's first thread. The engine of `re` looks for signals while it works."""

    def over(*_: Any) -> NoReturn:
        raise TooLong

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Definition:
    """A routine, view, trigger or event: where it is, its text without comments, and MariaDB's sql_mode of it."""

    where: str
    text: str
    mode: str = ""


def match(definitions: list[Definition], check: dict[str, Any], found: Found) -> None:
    """The patterns of a check in these definitions."""
    for definition in definitions:
        for pattern in check["patterns"]:
            try:
                with in_time():
                    seen = len(re.findall(pattern["pattern"], definition.text, re.IGNORECASE))
            except TooLong:
                found.leave(f"In the {definition.where} the search took too long for this: {pattern['what']}.")
                continue
            if seen:
                found.add(check["id"], definition.where, pattern["what"], count=seen)
