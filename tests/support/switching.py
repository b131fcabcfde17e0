"""A host where alice serves, whose switch is the true one: her stores, the other server and the hold are stood in for
by what only writes down that it was asked."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from include.agent import verbs
from include.agent.account import accounts
from include.agent.account.accounts import Account, State
from include.agent.host import holds, system
from include.agent.host.codec import plain
from include.agent.host.scope import Scope
from include.agent.layouts.native import front, php
from include.agent.move import fence, forward, hold, identity, moment, serving, stores, switch
from include.agent.stores import store as true
from include.agent.stores.store import Compared, Followed, Following, Rehearsal, Slow
from include.agent.verbs import peers
from include.agent.verbs.protocol_number import PROTOCOL
from include.agent.verbs.reports import Way
from include.agent.verbs.verb import Nothing, PeerVerb

ALICE = Account.from_json(
    {"account": "alice", "uid": 2001, "gid": 2001, "home": "/home/alice", "sites": [], "postgresql": {}, "mariadb": {}}
)


@dataclass
class Store:
    """A store that does nothing and writes down what it is asked."""

    name: str
    asked: list[str]
    seconds: float = 0.1
    different: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    scope = Scope("what it holds", "word by word", "in the hold")

    def follow(self, account, peer, report) -> Following:
        self.asked.append(f"{self.name} follow")
        left, ways = tuple(self.left), (Way(store=self.name, database="db", way="follow", why="It is large."),)
        return OnItsWay(self, account, peer, Followed(1, 1, 0.1, left=left, ways=ways))

    def unfollow(self, account) -> None:
        self.asked.append(f"{self.name} unfollow")


class OnItsWay(Following):
    """Writes down at its store what it is asked."""

    def __init__(self, fake: Store, *rest: Any) -> None:
        super().__init__(cast(true.Store, fake), *rest)
        self.fake = fake

    def rehearse(self) -> Rehearsal:
        self.fake.asked.append(f"{self.fake.name} rehearse")
        seconds = self.fake.seconds
        return Rehearsal(seconds, (Slow("The database db", seconds, "it is dumped."),) if seconds > 1 else ())

    def final_pass(self) -> None:
        self.fake.asked.append(f"{self.fake.name} final pass")

    def compare(self) -> Compared:
        self.fake.asked.append(f"{self.fake.name} compare")
        different = tuple(self.fake.different)
        if self.fake.name == "files":
            return Compared(files=1, bytes=1, different=different)
        return Compared(tables=1, rows=1, different=different)

    def messages(self) -> int:
        return 3 if self.fake.name == "files" else 0


class FakePeer:
    versions: dict[str, list[int]] = {}
    open_seconds = 0.0

    def call(self, verb: PeerVerb[Any]) -> Any:
        if isinstance(verb, peers.Alone):
            return peers.Versions(protocol=PROTOCOL, versions=self.versions)
        if isinstance(verb, peers.Warm):
            return peers.Warmed(open_seconds=self.open_seconds)
        return {} if isinstance(verb, peers.IdentityDigest) else Nothing()

    def warm(self, sessions: int) -> None:
        pass


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A host where alice serves and holding her is only written down."""
    asked: list[str] = []
    for module in (accounts, holds, system):
        monkeypatch.setattr(module, "STATE", tmp_path, raising=False)
    monkeypatch.setattr(holds, "_HOLDS", tmp_path / "holds.json")
    monkeypatch.setattr(accounts, "RUNTIME", tmp_path)
    accounts.put_state("alice", State("serving", epoch=1))
    faked = {name: Store(name, asked) for name in ("files", *accounts.ENGINES)}
    monkeypatch.setattr(switch, "STORES", tuple(faked.values()))
    monkeypatch.setattr(switch, "_sides", lambda _args: (ALICE, FakePeer()))
    monkeypatch.setattr(identity, "send", lambda *_: None)
    monkeypatch.setattr(moment, "await_it", lambda *_: None)
    monkeypatch.setattr(identity, "digest", lambda *_: {})

    # In the order of the stores, so that what is asked can be told one after the other.
    monkeypatch.setattr(switch, "side_by_side", lambda *works: [work() for work in works])
    monkeypatch.setattr(hold, "load", lambda _: ALICE)
    monkeypatch.setattr(front, "hold", lambda _: None)
    monkeypatch.setattr(php.Requests, "drain", lambda *_: 0)
    monkeypatch.setattr(serving, "stop_processes", lambda _: 0)
    for engine in stores.ENGINES:
        monkeypatch.setattr(engine, "hold", lambda _: None)

    def begin(name, move, epoch, seconds):
        asked.append("hold")
        accounts.put_state(name, State("held", epoch, move))

    def commit(name, move, epoch, figures):
        asked.append("commit")
        accounts.put_state(name, State("moved", epoch, move, figures=plain(figures)))

    def go_on(name, figures):
        state = accounts.state_of(name)
        accounts.put_state(name, State(**{**state.to_json(), "released": True, "figures": plain(figures)}))

    def give_back(name, move, epoch):
        asked.append("return")
        accounts.put_state(name, State("serving", 2, move))

    def release(name, peer=None):
        asked.append("release")
        return []

    monkeypatch.setattr(fence, "begin", begin)
    monkeypatch.setattr(fence, "commit", commit)
    monkeypatch.setattr(hold, "return_", give_back)
    monkeypatch.setattr(forward, "forward", go_on)
    monkeypatch.setattr(forward, "release_peer", release)
    monkeypatch.setattr(forward, "let_go", lambda *_: asked.append("let go"))
    return asked


def faked(name: str) -> Any:
    return next(store for store in switch.STORES if store.name == name)


PEER = verbs.PeerAt(address="10.20.0.9", host_keys=[])


def args(**more: Any) -> verbs.Switch:
    return verbs.Switch(account="alice", move="m1", epoch=2, hold_seconds=60, peer=PEER, **more)
