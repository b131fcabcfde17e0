"""Three accounts as customers have them, made on a server of the lab and filled with real data.

`fill("blog", server)` creates the account through the agent and fills it; `ACCOUNTS` names all three.
`legacy` is a fourth, with code for old versions, that the compatibility checks are tried on.
What the fill leaves for others (addresses, passwords, names) is a `Filled`; `load` reads it again.
"""

from __future__ import annotations

from lab.accounts import app, blog, files, legacy
from lab.accounts.filling import Filled, FillError, Server, connections, load, look

ACCOUNTS = {"blog": blog, "app": app, "files": files}

__all__ = ["ACCOUNTS", "FillError", "Filled", "Server", "connections", "fill", "load", "look"]


def fill(name: str, server: Server) -> Filled:
    """Creates the account `name` on `server` and fills it. Raises FillError with a sentence."""
    return {**ACCOUNTS, "legacy": legacy}[name].fill(server)
