"""A move of an account as an operator drives it: the agents' verbs, from th-ops."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.stage import Machine

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
    peer: dict[str, Any] = field(default_factory=dict)

    @property
    def account(self) -> str:
        """Its name."""
        return self.statement["account"]

    def open(self) -> None:
        """Pairs the two servers."""
        public_key = self.source.agent.call("pair", move=self.key, account=self.account)["public_key"]
        received = self.target.agent.call(
            "receive",
            move=self.key,
            account=self.account,
            epoch=self.epoch,
            account_file=self.statement,
            source_address=self.source.address,
            public_key=public_key,
        )
        self.peer = {"address": self.target.address, "host_keys": received["host_keys"]}

    def run(self, verb: str, **more: Any) -> tuple[dict[str, Any], float]:
        """A long verb: what it tells, and how long it took from here."""
        args = {"account": self.account, "move": self.key, "epoch": self.epoch, "peer": self.peer, **more}
        began = time.perf_counter()
        result = self.source.agent.run(f"{self.key}-{verb}", verb, args)
        return result, time.perf_counter() - began

    def switch(self, **more: Any) -> dict[str, Any]:
        """The switch-over; refused as `over_budget` when the rehearsal takes longer than is allowed."""
        return self.run("switch", hold_seconds=HOLD_SECONDS, **more)[0]

    def close(self) -> None:
        """Ends the pairing, and drops what the account has left at its old place."""
        self._unpair()
        self.source.agent.call("remove", account=self.account)

    def give_up(self) -> None:
        """The account stays where it is; what was copied is dropped at the target."""
        self.source.agent.call("return", account=self.account, move=self.key)
        self._unpair()
        self.target.agent.call("remove", account=self.account)

    def _unpair(self) -> None:
        for machine in (self.source, self.target):
            machine.agent.call("unpair", move=self.key)
