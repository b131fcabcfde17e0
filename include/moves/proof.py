"""The proof of a move: that both copies were equal, in what, and what the account has that was not carried."""

from __future__ import annotations

from dataclasses import dataclass

from include.agent.host.scope import Scope
from include.agent.verbs.reports import Verified
from include.registry import Figures

COUNTED = ("files", "tables", "rows", "messages")


@dataclass(frozen=True)
class Proof:
    """The end of a move as its agents reported it."""

    counts: dict[str, int]
    equal: bool
    left: list[str]
    """What the account has and was not carried, a sentence each."""
    scope: dict[str, Scope]
    """By part of the account, what was compared and what was not."""

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


def of(figures: Figures) -> Proof:
    """The proof among a move's figures; one of a move that was not proven says so."""
    copied, switched = figures.copy, figures.switch
    verified = switched.verified or Verified()
    return Proof(
        counts={unit: getattr(verified, unit) for unit in COUNTED},
        equal=verified.equal,
        left=copied.left if switched.left is None else switched.left,
        scope=switched.scope,
    )
