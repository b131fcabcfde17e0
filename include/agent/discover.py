"""The long verb `discover`: the accounts of a server that other tools filled are found, not typed in."""

from __future__ import annotations

from typing import Any

from . import layouts, verbs
from .host.codec import plain
from .host.operations import Report
from .move import stores


def discover(_want: verbs.Discover, report: Report) -> dict[str, Any]:
    """What the server's own configuration and engines say; an engine that does not run has nothing."""
    owned = {}
    for engine in stores.ENGINES:
        if engine.socket.exists():
            report(text=f"reads whose the databases of {engine.title} are")
            owned[engine.name] = engine.owners()
    report(text="reads the configuration of this server")
    inhabitants: dict[str, Any] = plain(layouts.read_inhabitants(owned))
    return inhabitants
