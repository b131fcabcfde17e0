"""Programs of the system that a crontab or a script names and that this server, the new one, does not have."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator

# Each begins where no other one may go on, so a line is passed over once.
# Not behind a letter, another folder, a variable or an address: `$HOME/usr/bin`, `https://a/usr`.
_PATH = re.compile(rb"(?<![\w./:~$}+@-])(/(?:usr|bin|sbin|lib)/[\w./+@-]*[\w+])(?![\w*?\[{$/])")
# By a name with a version in it, which is looked for as a shell does.
_NAMED = re.compile(rb"(?<![\w./$-])((?:php|python|pip|perl|ruby|node|lua|gcc)-?\d+(?:\.\d+)*)(?![\w./-])")
_SHELL = re.compile(rb"#![^\n]*\b(?:ba|da|k|z)?sh\b")
_SCHEDULE = re.compile(rb"\s*(?:@\w+|(?:\S+\s+){5})")


def missing_in_crontab(crontab: bytes) -> Iterator[tuple[str, int]]:
    """(program, line) of each that is not here."""
    for number, line in enumerate(crontab.splitlines(), 1):
        if not line.lstrip().startswith(b"#"):
            command = _SCHEDULE.sub(b"", line, count=1)
            yield from ((name, number) for name in _missing(command))


def missing_in_script(content: bytes) -> Iterator[tuple[str, int]]:
    """The same of a program's first line, and of all of it where it is one for the shell."""
    if not content.startswith(b"#!"):
        return
    lines = content.splitlines() if _SHELL.match(content) else content.splitlines()[:1]
    for number, line in enumerate(lines, 1):
        if number == 1 or not line.lstrip().startswith(b"#"):
            yield from ((name, number) for name in _missing(line))


def _missing(line: bytes) -> Iterator[str]:
    for program in _PATH.finditer(line):
        if not os.path.lexists(program[1]):
            yield program[1].decode("utf-8", "backslashreplace")
    for program in _NAMED.finditer(line):
        if shutil.which(os.fsdecode(program[1]), path="/usr/local/bin:/usr/bin:/bin") is None:
            yield program[1].decode()
