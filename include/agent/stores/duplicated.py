"""What is told of databases that were copied for a test: what was refused, what would wait, what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..host.digest import printable
from .followed import WhyNot

Notes = list[dict[str, Any]]
MOST = 500
"""Of each kind of sentence from one database: a dump of another server's data could fail with every line."""


def note(database: str | None, object_name: str | None, message: str, severity: str = "error") -> dict[str, Any]:
    return {
        "database": database and printable(database),
        "severity": severity,
        "object": object_name and printable(object_name),
        "message": printable(message)[:1000],
    }


def waits(database: str, obstacle: WhyNot, size: int, seconds: float) -> dict[str, str]:
    """That a move would copy a database while visitors wait, as this test has just copied it."""
    cost = f"Copying it took {seconds:.1f} s for {size / 1e6:,.1f} MB in this test, and visitors would wait as long"
    message = f"{cost}, as {obstacle.why}. To have it followed instead, {obstacle.remedy}."
    return {"database": printable(database), "message": message}


def missing(database: str, names: Iterable[str]) -> list[dict[str, str]]:
    return [{"database": printable(database), "object": printable(name)} for name in sorted(names)[:MOST]]
