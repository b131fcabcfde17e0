"""Judge of Sieve scripts: they sort mail, and start no program."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .whose import Whose, at, strange_characters

_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_PROGRAMS = re.compile(r"\s*(?:vnd\..*|imapsieve|encoded-character|extprograms)\s*", re.IGNORECASE | re.DOTALL)
_HARMLESS = frozenset(("vnd.dovecot.debug", "vnd.dovecot.duplicate", "vnd.dovecot.environment"))


def judge(path: str, text: str, _whose: Whose) -> Iterator[str]:
    yield from strange_characters(path, text)
    for quoted in _TEXT.finditer(text):
        word = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
        if _PROGRAMS.fullmatch(word) and word.lower() not in _HARMLESS:
            line = text.count("\n", 0, quoted.start()) + 1
            yield at(path, line, f"{word!r:.60} may start programs of the host's, or hide what does", "take it out")
