"""A site as a web server's configuration has it, whichever web server that is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .tree import Notes, Place

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(\*\.)?{_LABEL}(\.{_LABEL})*\.?")
_NUMBERS = re.compile(r"[0-9.]+|\[?[0-9a-f:]*:[0-9a-f:.]+\]?")
_TARGET = re.compile(r"(?:proxy:)?(?:unix:([^|]+)\|)?([a-z0-9+]+)://([^/\s]*)(/\S*)?", re.IGNORECASE)
PHP = "fcgi"


@dataclass(frozen=True)
class Backend:
    """What answers for a site. `kind`: the protocol; `address`: the path of a socket, or a host and port; `below`: for
    which of the site's paths, where the configuration says so."""

    kind: str
    address: str
    below: str
    place: Place


@dataclass(frozen=True)
class WebSite:
    """`names`: the first is its own; `root`: the folder that it shows, "" if none; `user`: whom the configuration
    names; `files`: what it needs beside, with what that is; `certificates`: files of keys and certificates."""

    served_by: str
    names: tuple[str, ...]
    root: str
    backends: tuple[Backend, ...]
    certificates: tuple[str, ...]
    user: str
    files: tuple[tuple[str, str], ...]
    place: Place


def host_names(given: Iterable[str], place: Place, notes: Notes) -> tuple[str, ...]:
    """The names of a site, in lower case and each once; what is none is noted."""
    names = []
    for text in given:
        name = re.sub(r"^[a-z]+://", "", text.lower())
        name = name if _NUMBERS.fullmatch(name) else re.sub(r":\d+$", "", name)
        if _NUMBERS.fullmatch(name) or name in ("", "_", "localhost", "*"):
            continue
        if not _HOST.fullmatch(name):
            notes.add(f"{place}: {text!r:.120} is no name of a site that can be understood.")
            continue
        names.append(name.rstrip("."))
    return tuple(dict.fromkeys(names))


def target(text: str) -> tuple[str, str] | None:
    """The protocol and the address of where requests are passed on to, as Apache writes it; None if it is not one."""
    match = _TARGET.match(text)
    if not match:
        return None
    socket, kind, host, _ = match.groups()
    return kind.lower(), re.sub("^/+", "/", socket or host)
