"""What is told of databases that were copied for a test: what was refused, what would wait, what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from ..host.digest import printable
from ..verbs.reports import Missing, Remark, Wait
from .followed import WhyNot

MOST = 500
"""Of each kind of sentence from one database: a dump of another server's data could fail with every line."""


@dataclass
class StoreCopy:
    """A store's copy for a test, as far as it is: `said` is what was refused and remarked on both servers."""

    store: str
    files: int = 0
    bytes: int = 0
    left: list[str] = field(default_factory=list)
    said: list[Remark] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def waits_for(self, database: str, obstacle: WhyNot, size: int, seconds: float) -> None:
        """A move would copy this database while visitors wait, as this test has just copied it."""
        took = f"Copying it took {seconds:.1f} s for {size / 1e6:,.1f} MB in this test, and visitors would wait as long"
        message = f"{took}, as {obstacle.why}. To have it followed instead, {obstacle.remedy}."
        self.waits.append(Wait(store=self.store, database=printable(database), message=message))

    def misses(self, database: str, names: Iterable[str]) -> None:
        """These objects of a database did not come over."""
        self.missing += [
            Missing(store=self.store, database=printable(database), object=printable(name))
            for name in sorted(names)[:MOST]
        ]


def note(
    database: str | None, object_name: str | None, message: str, severity: Literal["error", "warning"] = "error"
) -> Remark:
    return Remark(
        database=database and printable(database),
        severity=severity,
        object=object_name and printable(object_name),
        message=printable(message)[:1000],
    )
