"""What an entry of the catalogue is, once it was read and found good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

KINDS = ("infrastructure", "postgresql", "mariadb")
SEVERITIES = ("blocker", "warning", "note")


@dataclass(frozen=True)
class Check:
    """How an incompatibility is looked for in an account: a kind that the agent knows (see `checks`), and what that
    kind wants to be told."""

    kind: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Incompatibility:
    """One thing that the new version does otherwise, in a customer's words. Without a check it is told on the entry's
    page only. `severity` is that of a finding: a blocker stops *perform*."""

    id: str
    title: str
    explanation: str
    fix: str
    severity: str
    check: Check | None = None


@dataclass(frozen=True)
class Entry:
    """What customers are offered: a newer infrastructure, or a newer version of one database engine.

    `page` is Markdown for customers. It opens and, when mandatory, falls due at midnight of these dates in the host's
    billing zone; None: it is open already, or has no deadline. `incompatibilities`
    include those of the entries that it includes."""

    name: str
    title: str
    kind: str
    from_version: str
    to_version: str
    page: str
    mandatory: bool
    opens: date | None
    deadline: date | None
    incompatibilities: tuple[Incompatibility, ...]

    def checks(self) -> list[dict[str, Any]]:
        """What the agent's `check` is asked to look for."""
        return [
            {"id": one.id, "kind": one.check.kind, **one.check.arguments}
            for one in self.incompatibilities
            if one.check is not None
        ]
