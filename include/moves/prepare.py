"""A host's own server is made ready for moves, over its agent: a front before its web server; or as it was again."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg

from include import registry
from include.agent import verbs
from include.catalogue import infrastructures
from include.hosts import Host
from include.machines.laid_down import REPOSITORY
from include.moves import doctor

_SECONDS = 900


def prepare(conn: psycopg.Connection, name: str, host: Host, take_away: bool = False) -> list[str]:
    """Prepares the server `name`, or brings what was prepared up to date; with `take_away` it is made as it was. Gives
    what a person has still to do there, and what the server lacks for a move: a sentence each."""
    _require_own(conn, name)
    if take_away:
        host.run(_operation("unprepare"), verbs.Unprepare(), timeout=_SECONDS)
        return doctor.examine(conn, lambda _: host, name)
    return [*lay_down(conn, name, host), *doctor.examine(conn, lambda _: host, name)]


def lay_down(conn: psycopg.Connection, name: str, host: Host) -> list[str]:
    """The same of a server that was just installed, and that nobody has looked at yet."""
    servers = registry.list_servers(conn)
    fronts = [str(each.management_address) for each in servers if each.name != name and each.host_key is not None]
    asked = verbs.Prepare(files=files(), fronts=fronts)
    return host.run(_operation("prepare"), asked, timeout=_SECONDS).to_do


def files(repository: Path = REPOSITORY) -> dict[str, str]:
    """What is laid down, by its path on the server."""
    tree = repository / "infrastructure" / "classic"
    laid = {f"/{path.relative_to(tree)}": path.read_text() for path in sorted(tree.rglob("*")) if path.is_file()}
    # One that our own servers have too.
    hold = "etc/transhumance/front/hold.lua"
    return {**laid, f"/{hold}": (repository / "infrastructure" / "common" / hold).read_text()}


def _require_own(conn: psycopg.Connection, name: str) -> None:
    infrastructure = registry.server(conn, name).infrastructure
    if not is_own(infrastructure):
        raise registry.RegistryRefused(
            f"{name} is of infrastructure {infrastructure}, whose servers are not the host's own: give it one of the"
            " layout classic in the inventory."
        )


def is_own(infrastructure: str) -> bool:
    """Whether servers of this infrastructure are a host's own, which are prepared."""
    declared = infrastructures.load().get(infrastructure)
    return declared is not None and declared.layout == "classic"


def _operation(verb: str) -> str:
    """Its own for each time: what was prepared before can have changed since."""
    return f"{verb}-{time.time_ns()}"
