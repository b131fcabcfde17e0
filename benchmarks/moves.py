"""A move of an account as an operator drives it: the agents' verbs, from th-ops."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from benchmarks.stage import Machine
from include.agent import verbs
from include.agent.verbs.reports import Copied, Switched
from include.agent.verbs.verb import LongVerb, Result
from lab.pairing import End, receive

HOLD_SECONDS = 60
"""As the DAG has it."""


@dataclass
class Move:
    """One account's move. `key` is new for each; `epoch` is one more than at the move before."""

    key: str
    epoch: int
    statement: dict[str, Any]
    source: Machine
    target: Machine
    peer: verbs.PeerAt | None = None

    @property
    def account(self) -> str:
        """Its name."""
        return self.statement["account"]

    def open(self) -> None:
        """Pairs the two servers."""
        source, target = (End(stand.agent, stand.address) for stand in (self.source, self.target))
        self.peer = receive(self.key, self.epoch, self.statement, source, target)

    def copy(self) -> tuple[Copied, float]:
        """The copy: what it tells, and how long it took from here."""
        began = time.perf_counter()
        return self._run(verbs.Copy(**self._ours())), time.perf_counter() - began

    def verify(self) -> None:
        """Compares both copies as a whole."""
        self._run(verbs.Verify(**self._ours()))

    def switch(self, budget_seconds: float = verbs.BUDGET_SECONDS) -> Switched:
        """The switch-over; refused as `over_budget` when the rehearsal takes longer than is allowed."""
        return self._run(verbs.Switch(**self._ours(), hold_seconds=HOLD_SECONDS, budget_seconds=budget_seconds))

    def _ours(self) -> dict[str, Any]:
        return {"account": self.account, "move": self.key, "epoch": self.epoch, "peer": self.peer}

    def _run(self, verb: LongVerb[Result]) -> Result:
        return self.source.agent.run(f"{self.key}-{verb.name}", verb)

    def close(self) -> None:
        """Ends the pairing, and drops what the account has left at its old place."""
        self._unpair()
        self.source.agent.call(verbs.Remove(account=self.account))

    def give_up(self) -> None:
        """The account stays where it is; what was copied is dropped at the target."""
        self.source.agent.call(verbs.Return(account=self.account, move=self.key))
        self._unpair()
        self.target.agent.call(verbs.Remove(account=self.account))

    def _unpair(self) -> None:
        for machine in (self.source, self.target):
            machine.agent.call(verbs.Unpair(move=self.key))
