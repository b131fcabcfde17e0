"""What may be a password in a text, near a name: each value that is written there, in every way that it may be meant.

Nothing is understood of the languages: who asks tries each candidate, so one too many does no harm."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

_AROUND = 4000
"""Characters before and after a name in which its password is looked for."""
_MAX_PLACES = 20
_LONGEST = 200
_VALUE = f"{{1,{_LONGEST}}}"
# Each quote may begin a string, so that one in a comment hides none of those behind it.
_QUOTED = re.compile(rf"(?=(['\"`])((?:\\.|(?!\1)[^\\\n]){_VALUE})\1)")
_DOUBLED = re.compile(rf"(?=(['\"])((?:\1\1|(?!\1)[^\n]){_VALUE})\1)")
_AFTER = re.compile(rf"(?=(?:[=:]>?[ \t]*|pass\w*[ \t]+(?![=:]))(\S[^\n]{{0,{_LONGEST - 1}}}))", re.IGNORECASE)
_BETWEEN = re.compile(rf">([^<>\n]{_VALUE})<")
_IN_URL = re.compile(rf"://[^:/\s'\"<>@]{{0,{_LONGEST}}}:(?=([^\s'\"<>]{_VALUE})@)(?=([^@\s'\"<>]{_VALUE})@)")
_LIKE_A_PASSWORD = re.compile(r"pass|pwd|pw\b|secret|://", re.IGNORECASE)
_ESCAPED = re.compile(
    r"\\(?:x([0-9a-f]{1,2})|u\{([0-9a-f]{1,6})\}|u([0-9a-f]{4})|([0-7]{1,3})|(.))", re.IGNORECASE | re.DOTALL
)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f", "e": "\x1b"}


def near(text: str, places: list[int], everywhere: bool = False) -> Iterator[tuple[int, str]]:
    """Candidates around these places, and how good each is: the least number is the best. `everywhere`: each line of
    this text is one of passwords."""
    for place in places[:_MAX_PLACES]:
        start = max(text.rfind("\n", 0, max(0, place - _AROUND)) + 1, place - 2 * _AROUND)
        window = text[start : place + _AROUND]
        at = start
        for line in window.split("\n"):
            likely = everywhere or _LIKE_A_PASSWORD.search(line)
            for column, value in _values(line):
                yield abs(at + column - place) + (0 if likely else 10 * _AROUND), value
            at += len(line) + 1


def _values(line: str) -> Iterator[tuple[int, str]]:
    for match in _QUOTED.finditer(line):
        for value in _meant(match[2]):
            yield match.start(), value
    if "''" in line or '""' in line:
        for match in _DOUBLED.finditer(line):
            yield match.start(), match[2].replace(match[1] * 2, match[1])
    for match in _AFTER.finditer(line):
        for value in _written(match[1]):
            yield match.start(), value
    for match in _BETWEEN.finditer(line):
        yield match.start(), html.unescape(match[1])
    for match in _IN_URL.finditer(line):
        for value in (match[1], match[2]):
            yield match.start(), unquote(value, errors="surrogateescape")
            yield match.start(), value


def _meant(value: str) -> Iterator[str]:
    """What a quoted string may say: as it stands, and by the escapes of PHP's two kinds, JSON, Python and XML."""
    yield value
    if "\\" in value:
        yield re.sub(r"\\([\\'\"`])", r"\1", value)
        yield _ESCAPED.sub(_character, value)
    if "&" in value:
        yield html.unescape(value)


def _written(rest: str) -> Iterator[str]:
    """What stands after a sign, without quotes: to the end of the line, to a comment, or one word."""
    for value in (rest, re.split(r"\s+[#;]|\s+//", rest)[0], re.split(r"[\s,;&]", rest)[0]):
        plain = value.strip().rstrip(",;")
        yield value.strip()
        yield plain
        if "\\" in plain:
            yield re.sub(r"\\(.)", r"\1", plain)


def _character(match: re.Match[str]) -> str:
    two, braced, four, octal, other = match.groups()
    if octal:
        return _of_number(int(octal, 8) & 0xFF)
    if number := two or braced or four:
        return _of_number(int(number, 16)) if two else chr(min(int(number, 16), 0x10FFFF))
    return _CONTROLS.get(other, other)


def _of_number(number: int) -> str:
    """One byte, as PHP means it."""
    return bytes([number]).decode("utf-8", "surrogateescape")
