"""Judge of a file in /etc/cron.d, whose lines say themselves as whom they run: as the account, each of them.

What runs, and with which variables, is then no more than what the account could write into a crontab of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .whose import Whose, at, strange_characters

# As cron tells the two apart: what begins like a variable is one, and fields are parted by spaces and tabs alone.
_VARIABLE = re.compile(r"[ \t]*[A-Za-z_][A-Za-z0-9_]*[ \t]*=.*")
_FIELD = r"[0-9*][0-9A-Za-z*,/~-]*|[A-Za-z]{3}[A-Za-z,-]*"
_AT = "@(?:annually|daily|hourly|midnight|monthly|reboot|weekly|yearly)"
_LINE = re.compile(rf"[ \t]*({_AT}|(?:(?:{_FIELD})[ \t]+){{4}}(?:{_FIELD}))[ \t]+([A-Za-z0-9._-]+)[ \t]+[^ \t].*")


def users(text: str) -> set[str | None]:
    """As whom its lines run; None among them where one is not understood."""
    matches = (_LINE.fullmatch(line) for _, line in _lines(text))
    return {match and match[2] for match in matches}


def judge(path: str, text: str, whose: Whose) -> Iterator[str]:
    yield from strange_characters(path, text)
    if not text.endswith("\n"):
        yield at(path, text.count("\n") + 1, "the last line has no end, so cron reads none of the file", "end it")
    for number, line in _lines(text):
        match = _LINE.fullmatch(line)
        if not match:
            yield at(path, number, f"{line!r:.120} is no line of cron's", "correct it, or take it out")
        elif match[2] != whose.name:
            yield at(path, number, f"runs as {match[2]}, not as {whose.name}", "give that user's lines another file")
        elif match[1] == "@reboot":
            to_do = f"give it to {whose.name}'s own crontab (crontab -u {whose.name} -e), whose programs are begun anew"
            yield at(path, number, "begins only when a server starts, which a move does not", to_do)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Those that are neither empty, nor a comment, nor a variable."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip(" \t") and not line.lstrip(" \t").startswith("#") and not _VARIABLE.fullmatch(line):
            yield number, line
