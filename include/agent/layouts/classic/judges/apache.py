"""Judge of a file of Apache's: the virtual hosts of one account's sites, and rules for folders of its home."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..reading.apache import logical_lines, words
from .apache_values import CHECKS, PLAIN, check_directory, check_directory_match, check_virtual_host
from .whose import Whose, at, climbs, strange_characters

_CONDITIONS = frozenset(("ifmodule", "ifversion", "ifdefine", "iffile"))
_IN_A_SITE = frozenset(
    "else elseif files filesmatch if limit limitexcept location locationmatch proxy proxymatch requireall requireany"
    " requirenone".split()
)
_SECTION = re.compile(r"<(/?)([A-Za-z]+)\s*(.*?)\s*>")
_LOGS_OF_DEBIAN = "${APACHE_LOG_DIR}"
_READS_FILES = re.compile(r"\bfile(?:size|mod)?\s*[:(]", re.IGNORECASE)
"""How Apache's expressions read a file, or tell of it."""
_INCLUDED = frozenset(("/etc/letsencrypt/options-ssl-apache.conf",))
"""What Let's Encrypt's client lays down beside its certificates, and has each site include."""


def judge(path: str, text: str, whose: Whose) -> Iterator[str]:
    yield from strange_characters(path, text)
    opened: list[tuple[str, int]] = []
    names: list[int] = []
    """How many names each virtual host that is open has been given."""
    for number, line in logical_lines(text.split("\n")):
        if not line or line.startswith("#"):
            continue
        line = line.replace(_LOGS_OF_DEBIAN, "/var/log/apache2")
        if why := _everywhere(line):
            yield at(path, number, *why)
        if not line.startswith("<"):
            name, arguments = _directive(line)
            inside = any(section not in _CONDITIONS for section, _ in opened)
            names[-1:] = [names[-1] + (name == "servername")] if names else []
            if why := _why_not(name, arguments, whose, inside):
                yield at(path, number, f"{name:.60} {why[0]}", why[1])
            continue
        section = _SECTION.fullmatch(line)
        if section is None:
            yield at(path, number, f"{line!r:.80} is no section of Apache's", "write it as <Name ...>")
        elif section[1]:
            if not opened or opened.pop()[0] != section[2].lower():
                yield at(path, number, f"{line!r:.80} ends a section that was not begun", "take it out")
                return
            if section[2].lower() == "virtualhost" and not names.pop():
                yield at(path, number, "the site before it has no ServerName", "give it a name of the account's")
        else:
            name = section[2].lower()
            if why := _why_no_section(name, words(section[3]), whose, [each for each, _ in opened]):
                yield at(path, number, f"<{section[2]:.60} {why[0]}", why[1])
            names += [0] if name == "virtualhost" else []
            opened.append((name, number))
    for name, number in opened:
        yield at(path, number, f"the section <{name:.60} has no end", f"end it by </{name:.60}>")


def _directive(line: str) -> tuple[str, tuple[str, ...]]:
    parts = line.split(None, 1)
    return parts[0].lower(), words(parts[1]) if len(parts) > 1 else ()


def _everywhere(line: str) -> tuple[str, str] | None:
    if "${" in line:
        return "a name in ${} stands for what the file does not say", "write out what it stands for"
    if _READS_FILES.search(line):
        return "an expression reads a file", "take it out"
    if any(climbs(word) for word in line.replace('"', " ").replace("'", " ").split()):
        return "a path leads back up by ..", "write out where it leads"
    return None


def _why_not(name: str, arguments: tuple[str, ...], whose: Whose, inside: bool) -> tuple[str, str] | None:
    """What is wrong with a directive, and what to do; None where it is allowed."""
    if name == "include" and len(arguments) == 1 and arguments[0] in _INCLUDED and inside:
        return None
    if name not in PLAIN and name not in CHECKS:
        return (
            "is no directive that is carried for an account",
            "take it out, or have it in the server's own configuration",
        )
    if not inside:
        return "stands outside of the account's sites and would count for all", "move it into <VirtualHost>"
    return CHECKS[name](arguments, whose) if name in CHECKS else None


def _why_no_section(name: str, arguments: tuple[str, ...], whose: Whose, around: list[str]) -> tuple[str, str] | None:
    if name in _CONDITIONS:
        return None
    sections = [section for section in around if section not in _CONDITIONS]
    if name == "virtualhost":
        if sections:
            return "stands inside of another section", "move it out"
        return check_virtual_host(arguments)
    if name == "directory":
        return check_directory(arguments, whose, bool(sections))
    if not sections:
        return "stands outside of the account's sites and would count for all", "move it into <VirtualHost>"
    if name == "directorymatch":
        return check_directory_match(arguments, whose)
    return None if name in _IN_A_SITE else ("is no section that is carried for an account", "take it out")
