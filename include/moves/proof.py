"""The proof of a move: that both copies were equal, in what, and what the account has that was not carried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COUNTED = ("files", "tables", "rows", "messages")


@dataclass(frozen=True)
class Proof:
    """The end of a move as its agents reported it."""

    counts: dict[str, int]
    equal: bool
    left: list[str]
    """What the account has and was not carried, a sentence each."""
    scope: dict[str, dict[str, Any]]
    """By part of the account: {"what" was compared, "how", "when", "without": what was not, and why}."""

    @property
    def verified(self) -> bool:
        """Equal, and nothing was left out that the account has."""
        return self.equal and not self.left

    @property
    def word(self) -> str:
        """What stands where a person looks whether the move was verified."""
        if not self.equal:
            return "NO"
        return f"but {len(self.left)}" if self.left else "yes"


def of(figures: Mapping[str, Any]) -> Proof:
    """The proof among a move's figures; one of a move that was not proven says so."""
    copied, switched = (figures.get(verb) or {} for verb in ("copy", "switch"))
    verified = switched.get("verified") or {}
    return Proof(
        counts={unit: int(verified.get(unit, 0)) for unit in COUNTED},
        equal=verified.get("equal") is True,
        left=switched.get("left", copied.get("left", [])),
        scope=switched.get("scope", {}),
    )
