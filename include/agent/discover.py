"""The long verb `discover`: the accounts of a server that other tools filled are found, not typed in."""

from __future__ import annotations

from typing import Any

from . import layouts, verbs
from .host.codec import plain
from .host.operations import Report
from .move import stores


def discover(_want: verbs.Discover, report: Report) -> dict[str, Any]:
    """What the server's own configuration and engines say; an engine that does not run has nothing."""
    owners, guests, passwords = {}, {}, {}
    for engine in stores.ENGINES:
        if engine.socket.exists():
            report(text=f"reads whose the databases of {engine.title} are")
            owners[engine.name], guests[engine.name] = engine.owners(), engine.guests()
            passwords[engine.name] = engine.passwords()
    report(text="reads the configuration of this server, and who keeps the passwords of its databases")
    inhabitants: dict[str, Any] = plain(layouts.read_inhabitants(owners, guests, passwords))
    return inhabitants
