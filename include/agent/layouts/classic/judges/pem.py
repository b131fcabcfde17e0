"""Judges of keys and certificates: each such file is that and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .whose import Whose, at, strange_characters

_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
_KEYS = frozenset(("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"))
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,100}={0,2}")


def key(path: str, text: str, _whose: Whose) -> Iterator[str]:
    """A private key, as mail is signed with or Let's Encrypt's client keeps."""
    yield from _blocks(path, text, _KEYS, "a private key", most=1)


def chain(path: str, text: str, _whose: Whose) -> Iterator[str]:
    """A certificate, or a chain of some."""
    yield from _blocks(path, text, frozenset(("CERTIFICATE",)), "a certificate", most=10)


def pair(path: str, text: str, _whose: Whose) -> Iterator[str]:
    """Keys and certificates that the host keeps where it likes."""
    yield from _blocks(
        path, text, _KEYS | {"CERTIFICATE", "EC PARAMETERS", "DH PARAMETERS"}, "a key or a certificate", 12
    )


def replaced(text: str, key: str, certificate: str) -> str:
    """The same kinds of things, of a pair that is worth nothing."""
    has = {block for block in _BEGIN.findall(text)}
    return (key if has & _KEYS else "") + (certificate if "CERTIFICATE" in has else "")


def _blocks(path: str, text: str, kinds: frozenset[str], expected: str, most: int) -> Iterator[str]:
    yield from strange_characters(path, text)
    inside, count = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip(" ")
        begin = _BEGIN.fullmatch(line)
        if begin and not inside and begin[1] in kinds:
            inside, count = begin[1], count + 1
        elif inside and line == f"-----END {inside}-----":
            inside = ""
        elif line and not (inside and _BASE64.fullmatch(line)):
            yield at(path, number, f"{line!r:.40} is no part of {expected}", "leave that alone in the file")
            return
    if inside or not 1 <= count <= most:
        yield at(path, text.count("\n") + 1, f"this is not {expected} as a whole", "write it again")
