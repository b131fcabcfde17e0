"""Who serves, runs and delivers on a server. A layout is a package here; the others ask for that of their server.

What a layout has, `native` shows: the modules below with their functions, and SERVICES. What layouts share lies beside
them. A server says in one word in the file LAYOUT which is its own, `native` where there is none; `prepare` writes it
on a host's own server.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from ..host.system import AGENT, refuse

LAYOUT = AGENT.parent / "layout"
"""Beside the agent: the accounts' own programs run parts of it too, and have to read this."""
_PARTS = ("front", "mail", "own", "php")
KNOWN = tuple(
    module.name
    for module in iter_modules(__path__)
    if module.ispkg and all(find_spec(f"{__name__}.{module.name}.{part}") for part in _PARTS)
)
"""Of the others a server is only read yet."""


def in_force() -> str:
    """The name of this server's layout."""
    name = LAYOUT.read_text().strip() if LAYOUT.exists() else "native"
    if name not in KNOWN:
        raise SystemExit(f"{LAYOUT} names {name!r:.60}, which is no layout of this agent: use {' or '.join(KNOWN)}.")
    return name


def read_inhabitants(
    owners: dict[str, dict[str, list[Any]]],
    guests: dict[str, dict[str, list[Any]]],
    passwords: dict[str, dict[str, Callable[[str], bool]]],
) -> Inhabitants:
    """Who lives on this server by its own configuration, whichever layout is in force, and whose the databases are, of
    which each engine says this (`Engine.owners` and so on): it is asked before the server is ours. The host's own
    `discover` has the last word. Nothing else needs these modules, so they are loaded here."""
    from . import provisioning
    from .classic.reading.asking import of_program
    from .classic.reading.databases import Evidence
    from .classic.reading.inhabitants import inhabitants
    from .classic.reading.tree import Tree

    tree = Tree()
    read = inhabitants(tree, owners, of_program, Evidence(guests, passwords))
    return provisioning.discover(read, tree)


def prepare(files: dict[str, str], fronts: list[str]) -> list[str]:
    """Make a host's own server ready for moves; see `classic.prepare`."""
    from .classic.prepare import prepare

    return prepare(files, fronts)


def unprepare() -> None:
    """Take that away again."""
    from .classic.prepare import unprepare

    unprepare()


def unfit_for_front() -> list[str]:
    """Why no front can stand before this server's web server, a sentence each; of a server that has one it is told
    as well, since the host may have changed what it stands before."""
    from .classic.reading.tree import Tree
    from .classic.web_server import unfit

    return [*unfit(Tree())]


def copy_certificates() -> None:
    """Have the front of a host's own server show what its web server would."""
    from .classic.copied_certificates import copy

    if sentences := copy():
        refuse("bad_certificate", " ".join(sentences))


if TYPE_CHECKING:
    from ..verbs.discovered import Inhabitants
    from .native import SERVICES, extras, front, mail, own, php


def __getattr__(part: str) -> Any:
    """A part of this server's layout, loaded when it is asked for."""
    if part not in __all__:
        raise AttributeError(f"A layout has no part {part!r}.")
    package = f"{__name__}.{in_force()}"
    return import_module(package).SERVICES if part == "SERVICES" else import_module(f"{package}.{part}")


__all__ = ["SERVICES", "extras", "front", "mail", "own", "php", "read_inhabitants"]
