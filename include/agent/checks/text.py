"""What is looked for in texts: addresses as whole words, variables in SQL, patterns of the catalogue within a time."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

from .findings import Clock, Findings

_TIMEOUT = 2.0
MAX_DEFINITION = 1_000_000
"""Characters of a definition that are looked through."""


def whole_word(address: str) -> str:
    """A regular expression (of Python's and of MariaDB's kind) for an address or host name that is no part of another.

    198.51.100.1 is neither in 198.51.100.10 nor in 8.198.51.100.1, but at the end of a sentence it is."""
    colon = ":" if ":" in address else ""
    text = re.sub(r"[.:]", lambda mark: f"[{mark[0]}]", address)
    return f"(?<![A-Za-z0-9_.{colon}])(?<![A-Za-z0-9_]-){text}(?![A-Za-z0-9_{colon}]|[.-][A-Za-z0-9_])"


@cache
def _address_pattern(addresses: tuple[str, ...]) -> re.Pattern[bytes]:
    longest_first = sorted(addresses, key=len, reverse=True)
    return re.compile("|".join(f"({whole_word(address)})" for address in longest_first).encode(), re.IGNORECASE)


def addresses_in(content: bytes, addresses: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """(address, where it begins) of each of these addresses in a text."""
    for address in _address_pattern(addresses).finditer(content):
        yield address[0].decode().lower(), address.start()


_SCOPE = r"(?:(?:global|session|local) |@@(?:global|session|local) ?[.] ?|@@)?"
_READ = re.compile(
    r"@@(?:(?:global|session|local) ?[.] ?)?`?\Z"
    r"|(?<![A-Za-z0-9_@])show (?:(?:global|session|local) )?variables like ['\"]`?\Z",
    re.IGNORECASE,
)
_SET = re.compile(r"(?<![A-Za-z0-9_@])set ", re.IGNORECASE)
_SET_HERE = re.compile(rf"(?<![A-Za-z0-9_@])set {_SCOPE}`?\Z", re.IGNORECASE)
_SET_THEN = re.compile(rf", ?{_SCOPE}`?\Z", re.IGNORECASE)
_MAX_HEAD = 50
"""Longer than everything that these may find at the end of a text."""
_MAX_SET = 500
"""So far behind SET a variable of its list is found."""


@cache
def _variable_pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9_$]){re.escape(name)}`?(?![A-Za-z0-9_$])( ?:?=)?", re.IGNORECASE)


def uses_variable(sql: str, name: str) -> bool:
    """Whether a text of SQL reads or sets this variable of the server. A column of the same name that an UPDATE sets
    is none. Looks at a bounded piece of the text before each place where the name stands."""
    plain = " ".join(sql.split())
    if plain[:7].lower() == "update ":
        return False
    return any(
        _is_variable(plain[max(0, use.start() - _MAX_SET) : use.start()], use[1] is not None)
        for use in _variable_pattern(name).finditer(plain)
    )


def _is_variable(before: str, assigned: bool) -> bool:
    """Whether a name is a variable's, by what stands before it and whether something is assigned to it."""
    head = before[-_MAX_HEAD:]
    if _READ.search(head):
        return True
    if not assigned:
        return False
    statement = before.rpartition(";")[2]
    return bool(_SET_HERE.search(head) or (_SET_THEN.search(head) and _SET.search(statement)))


# What never ends goes on to the end of the text: there no other beginning is tried.
_SQL_PARTS = (
    r"'(?:[^'\\]|\\(?:.|\Z)|'')*+(?:'|\Z)|\"(?:[^\"\\]|\\(?:.|\Z)|\"\")*+(?:\"|\Z)|`[^`]*+(?:`|\Z)"
    r"|(--(?=\s)[^\n]*|/\*(?![!M]).*?(?:\*/|\Z)%s)"
)
_MARIADB_PARTS = re.compile(_SQL_PARTS % r"|\#[^\n]*", re.DOTALL)
_POSTGRESQL_PARTS = re.compile(_SQL_PARTS.replace(r"(?=\s)", "").replace("(?![!M])", "") % "", re.DOTALL)


def without_comments(sql: str, engine: str) -> str:
    """SQL with a space in place of each comment; what MariaDB runs of them (`/*! ... */`) stays."""
    parts = _MARIADB_PARTS if engine == "mariadb" else _POSTGRESQL_PARTS
    return parts.sub(lambda piece: " " if piece[1] else piece[0], sql)


class TooLong(Exception):
    """A pattern took longer with a text than it is given."""


@contextmanager
def in_time(seconds: float = _TIMEOUT) -> Iterator[None]:
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


def as_read(where: str, text: str, engine: str, mode: str, findings: Findings) -> Definition:
    """A definition as it is looked through: without comments, and no more of it than anybody writes."""
    if len(text) > MAX_DEFINITION:
        findings.leave(f"Of the {where} only the first {MAX_DEFINITION:,} characters were looked through.")
    return Definition(where, without_comments(text[:MAX_DEFINITION], engine), mode)


def match(definitions: list[Definition], check: dict[str, Any], findings: Findings, clock: Clock) -> None:
    """The patterns of a check in these definitions."""
    for number, definition in enumerate(definitions):
        if clock.expired:
            findings.leave(f"There was no time to look through {len(definitions) - number:,} definitions.")
            return
        for pattern in check["patterns"]:
            try:
                with in_time(min(_TIMEOUT, max(0.1, clock.left))):
                    seen = len(re.findall(pattern["pattern"], definition.text, re.IGNORECASE))
            except TooLong:
                findings.leave(f"In the {definition.where} the search took too long for this: {pattern['what']}.")
                continue
            if seen:
                findings.add(check["id"], definition.where, pattern["what"], count=seen)
