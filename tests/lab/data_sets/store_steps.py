"""Runs on the source, before a test's body: a store, step by step, as a switch takes them; what they say as JSON."""

from dataclasses import asdict


class Steps:
    """Whatever is no step of a following is asked of the store itself."""

    def __init__(self, store, account, peer):
        from agent.host.kept import Kept  # the agent is found by now

        Kept().__enter__()  # the script is one run of the agent
        self._store, self._account, self._peer = store, account, peer

    def __getattr__(self, name):
        return getattr(self._store, name)

    def follow(self, report=lambda **_: None):
        self._following = self._store.follow(self._account, self._peer, report)
        return asdict(self._following.followed)

    def rehearse(self):
        return asdict(self._following.rehearse())

    def final_pass(self):
        self._following.final_pass()

    def compare(self):
        compared = asdict(self._following.compare())
        return compared, compared.pop("different")
