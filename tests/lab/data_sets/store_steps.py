"""Runs on the source, before a test's body: a store, step by step, as a switch takes them; what they say as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from include.agent.account.accounts import Account
    from include.agent.channel.peer import Peer
    from include.agent.stores.store import Report, Store


class Steps:
    """Whatever is no step of a following is asked of the store itself."""

    def __init__(self, store: Store, account: Account, peer: Peer) -> None:
        if not TYPE_CHECKING:
            from agent.host.kept import Kept  # the agent is found by now

            Kept().__enter__()  # the script is one run of the agent
        self._store, self._account, self._peer = store, account, peer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def follow(self, report: Report = lambda **_: None) -> dict[str, Any]:
        self._following = self._store.follow(self._account, self._peer, report)
        return asdict(self._following.followed)

    def rehearse(self) -> dict[str, Any]:
        return asdict(self._following.rehearse())

    def final_pass(self) -> None:
        self._following.final_pass()

    def compare(self) -> tuple[dict[str, Any], list[str]]:
        compared = asdict(self._following.compare())
        return compared, compared.pop("different")
