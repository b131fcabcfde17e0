"""Whether this server holds test copies only, and below which domain they have their names."""

import json

from .system import CONFIG, read_json, refuse, write_durably

_MARK = CONFIG / "test-server.json"


def domain() -> str | None:
    """The domain below which test copies on this server have their names; None on any other server."""
    return (read_json(_MARK) or {}).get("domain")


def mark(domain: str) -> None:
    """Write down that this server holds copies with names below a domain."""
    write_durably(_MARK, json.dumps({"domain": domain}), 0o644)


def require() -> str:
    """That domain; refused on a server that is not a test server."""
    served = domain()
    if served is None:
        refuse("no_test_server", "This is no test server, so no test copy is opened on it; use one that is.")
    return served


def refuse_to_serve(name: str) -> None:
    """An account never serves on a test server: a copy cannot become the account."""
    if domain() is not None:
        refuse("test_server", f"This server holds test copies only, so the account {name} does not serve here.")
