"""A move's two servers are made ready for it without Airflow, by the verbs that its run begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.agent import verbs
from include.hosts import Host


@dataclass(frozen=True)
class End:
    """One of the two: its agent, and where the other one reaches it."""

    agent: Host
    address: str


def receive(
    move: str, epoch: int, account_file: dict[str, Any], source: End, target: End, engine: str | None = None
) -> verbs.PeerAt:
    """The target waits for the account (or for its databases of one engine); how the source's verbs are told of it."""
    account = account_file["account"]
    public_key = source.agent.call(verbs.Pair(move=move, account=account)).public_key
    received = target.agent.call(
        verbs.Receive(
            move=move,
            account=account,
            epoch=epoch,
            account_file=account_file,
            source_address=source.address,
            public_key=public_key,
            engine=engine,
        )
    )
    return verbs.PeerAt(address=target.address, host_keys=received.host_keys)
