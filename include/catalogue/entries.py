"""What an entry of the catalogue is, once it was read and found good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include import registry

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


@dataclass(frozen=True, kw_only=True)
class Entry(registry.Entry):
    """What customers are offered: a newer infrastructure, or a newer version of one database engine.

    It has what its file says beyond the registry's row. `page` is Markdown for customers. It opens and, when mandatory,
    falls due at midnight of its dates in the host's billing zone. `incompatibilities` include those of the entries that
    it includes."""

    page: str
    incompatibilities: tuple[Incompatibility, ...]

    def checks(self) -> list[dict[str, Any]]:
        """What the agent's `check` is asked to look for."""
        return [
            {"id": incompatibility.id, "kind": incompatibility.check.kind, **incompatibility.check.arguments}
            for incompatibility in self.incompatibilities
            if incompatibility.check is not None
        ]
