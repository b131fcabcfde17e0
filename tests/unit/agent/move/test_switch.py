"""The order of a switch: what is refused before any hold, and what a difference does."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from include.agent import verbs
from include.agent.account import accounts
from include.agent.account.accounts import Account, State
from include.agent.channel import pairing
from include.agent.host import holds, system
from include.agent.host.codec import plain
from include.agent.host.scope import Scope
from include.agent.host.system import Refused
from include.agent.layouts.native import front, mail, php
from include.agent.move import fence, forward, hold, identity, moment, serving, stores, switch
from include.agent.stores.postgresql.store import POSTGRESQL
from include.agent.stores.store import Compared, Followed, Following, Rehearsal, Slow, Way
from include.agent.verbs import peers, verb
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
        left, ways = tuple(self.left), (Way("db", "follow", "It is large."),)
        return OnItsWay(self, account, peer, Followed(1, 1, 0.1, left=left, ways=ways))

    def unfollow(self, account) -> None:
        self.asked.append(f"{self.name} unfollow")


class OnItsWay(Following):
    """Writes down at its store what it is asked."""

    def rehearse(self) -> Rehearsal:
        self.store.asked.append(f"{self.store.name} rehearse")
        seconds = self.store.seconds
        return Rehearsal(seconds, (Slow("The database db", seconds, "it is dumped."),) if seconds > 1 else ())

    def final_pass(self) -> None:
        self.store.asked.append(f"{self.store.name} final pass")

    def compare(self) -> Compared:
        self.store.asked.append(f"{self.store.name} compare")
        different = tuple(self.store.different)
        if self.store.name == "files":
            return Compared(files=1, bytes=1, different=different)
        return Compared(tables=1, rows=1, different=different)

    def counted_later(self) -> dict[str, int]:
        return {"messages": 3} if self.store.name == "files" else {}


class FakePeer:
    versions: dict[str, list[int]] = {}

    def call(self, verb: PeerVerb[Any]) -> Any:
        if isinstance(verb, peers.Alone):
            return peers.Versions(protocol=pairing.PROTOCOL, versions=self.versions)
        return {} if isinstance(verb, peers.IdentityDigest) else Nothing()

    def warm(self, sessions: int) -> None:
        pass


@pytest.fixture
def asked(tmp_path, monkeypatch) -> list[str]:
    """A host where alice serves and holding her is only written down."""
    asked: list[str] = []
    for module in (accounts, holds, system):
        monkeypatch.setattr(module, "STATE", tmp_path, raising=False)
    monkeypatch.setattr(holds, "_HOLDS", tmp_path / "holds.json")
    monkeypatch.setattr(accounts, "RUNTIME", tmp_path)
    accounts.put_state("alice", State("serving", epoch=1))
    faked = {name: Store(name, asked) for name in ("files", "postgresql", "mariadb")}
    monkeypatch.setattr(switch, "STORES", tuple(faked.values()))
    monkeypatch.setattr(switch, "_sides", lambda _args: (ALICE, FakePeer()))
    monkeypatch.setattr(identity, "send", lambda *_: None)
    monkeypatch.setattr(moment, "await_it", lambda *_: None)
    monkeypatch.setattr(identity, "digest", lambda *_: {})

    # In the order of the stores, so that what is asked can be told one after the other.
    monkeypatch.setattr(switch, "side_by_side", lambda *works: [work() for work in works])
    monkeypatch.setattr(hold, "load", lambda _: ALICE)
    monkeypatch.setattr(front, "hold", lambda _: None)
    monkeypatch.setattr(php, "drain", lambda *_: 0)
    monkeypatch.setattr(serving, "stop_processes", lambda _: 0)
    for engine in stores.ENGINES:
        monkeypatch.setattr(engine, "hold", lambda _: None)

    def begin(name, move, epoch, seconds):
        asked.append("hold")
        accounts.put_state(name, State("held", epoch, move))

    def commit(name, move, epoch, figures):
        asked.append("commit")
        accounts.put_state(name, State("moved", epoch, move, figures=figures))

    def go_on(name, figures):
        state = accounts.state_of(name)
        accounts.put_state(name, State(**{**state.to_json(), "released": True, "figures": figures}))

    def give_back(name, move, epoch):
        asked.append("return")
        accounts.put_state(name, State("serving", 2, move))

    monkeypatch.setattr(fence, "begin", begin)
    monkeypatch.setattr(fence, "commit", commit)
    monkeypatch.setattr(hold, "return_", give_back)
    monkeypatch.setattr(forward, "forward", go_on)
    monkeypatch.setattr(forward, "release_peer", lambda *_: asked.append("release") or [])
    monkeypatch.setattr(forward, "let_go", lambda *_: asked.append("let go"))
    return asked


def faked(name: str) -> Any:
    return next(store for store in switch.STORES if store.name == name)


PEER = verbs.PeerAt(address="10.20.0.9", host_keys=[])


def args(**more: Any) -> verbs.Switch:
    return verbs.Switch(account="alice", move="m1", epoch=2, hold_seconds=60, peer=PEER, **more)


def test_only_the_last_and_its_comparison_happen_in_the_hold(asked: list[str]) -> None:
    done = switch.switch(args(), lambda **_: None)
    held = asked[asked.index("hold") : asked.index("let go")]
    names = ("files", "postgresql", "mariadb")
    assert held == ["hold", *(f"{s} {w}" for s in names for w in ("final pass", "compare")), "commit", "release"]
    assert done["verified"] == {"files": 1, "bytes": 1, "tables": 2, "rows": 2, "equal": True, "messages": 3}
    assert asked[-3:] == [f"{name} unfollow" for name in names]
    assert {way["store"] for way in done["ways"]} == {*names}


def test_the_proof_says_what_it_covers_and_what_was_left(asked: list[str]) -> None:
    faked("mariadb").left = ["A grant is not carried."]
    done = switch.switch(args(), lambda **_: None)
    assert done["left"] == ["A grant is not carried."]
    assert {*done["scope"]} == {"files", "postgresql", "mariadb", "identity", "mail"}
    assert done["scope"]["mariadb"]["how"] == "word by word"
    # What is told must outlive a switch that is killed after its commit.
    assert accounts.state_of("alice").figures["left"] == done["left"]


def test_every_part_of_an_account_states_what_is_compared_of_it() -> None:
    for scope in (*(store.scope for store in stores.STORES), identity.SCOPE, mail.SCOPE):
        assert scope.what and scope.how and scope.when and scope.without


def test_a_move_that_is_too_slow_is_not_begun_but_explained(asked: list[str]) -> None:
    faked("mariadb").seconds = 4.2
    with pytest.raises(Refused, match="would wait about 4.5 s, more than the 1 s .* The database db takes 4.2 s") as no:
        switch.switch(args(), lambda **_: None)
    assert no.value.code == "over_budget"
    assert "hold" not in asked and accounts.state_of("alice").state == "serving"


def test_a_larger_budget_lets_it_begin(asked: list[str]) -> None:
    faked("mariadb").seconds = 4.2
    assert switch.switch(args(budget_seconds=5), lambda **_: None)["expected_ms"] == 4500


@pytest.mark.parametrize("budget", [0, 61, "1", True, None])
def test_a_budget_is_a_number_of_seconds(budget: Any) -> None:
    with pytest.raises(Refused, match="budget_seconds: a number from 0.1 to 60 was expected"):
        verb.asked(verbs.Switch, {**plain(args()), "budget_seconds": budget})


def test_what_is_not_equal_is_not_committed(asked: list[str]) -> None:
    faked("postgresql").different = ["db > t: row 7 differs."]
    with pytest.raises(Refused, match="postgresql: db > t: row 7 differs"):
        switch.switch(args(), lambda **_: None)
    assert "commit" not in asked and asked[-1] == "return"


@pytest.mark.parametrize("step", ["final_pass", "compare"])
def test_a_step_that_fails_in_the_hold_undoes_it_and_says_why(asked: list[str], monkeypatch, step: str) -> None:
    def fail(self) -> None:
        raise Refused("postgresql_failed", "PostgreSQL refused a step.")

    monkeypatch.setattr(OnItsWay, step, fail)
    with pytest.raises(Refused, match="PostgreSQL refused a step"):
        switch.switch(args(), lambda **_: None)
    assert "commit" not in asked and asked.count("return") == 1 and accounts.state_of("alice").state == "serving"


@pytest.mark.parametrize("step", ["release_peer", "let_go"])
def test_a_step_that_fails_after_the_commit_undoes_nothing(asked: list[str], monkeypatch, step: str) -> None:
    def fail(*_: object) -> None:
        raise Refused("peer_unreachable", "The peer gave no answer.")

    monkeypatch.setattr(forward, step, fail)
    with pytest.raises(Refused, match="no answer"):
        switch.switch(args(), lambda **_: None)
    assert "return" not in asked and accounts.state_of("alice").state == "moved"


STEPS = ("still", "last", "compared")


def test_the_steps_of_a_hold_are_timed(asked: list[str]) -> None:
    steps = [step["name"] for step in switch.switch(args(), lambda **_: None)["steps"]]
    of_stores = [f"{name} {step}" for name in ("files", "postgresql", "mariadb") for step in STEPS]
    of_stores.insert(1, "identity")
    assert steps == ["follow", "rehearse", "deadline", "front", *of_stores, "commit", "release", "forward", "unfollow"]


def test_the_rest_of_a_hold_is_learned(asked: list[str]) -> None:
    assert holds.usual_rest() == 0.3
    for seconds in (0.1, 0.2, 5.0):
        holds.note(seconds)
    assert holds.usual_rest() == 0.2


@pytest.mark.parametrize(
    ("there", "older"),
    [([18], False), ([17], False), ([16], True), ([], True)],
)
def test_an_engine_takes_nothing_to_an_older_release(monkeypatch, there: list[int], older: bool) -> None:
    databases = {"postgresql": {"roles": ["shop"], "databases": ["shop"]}}
    shop = Account.from_json({**ALICE.to_json(), **databases})
    peer: Any = FakePeer()
    peer.versions = {"postgresql": there}
    monkeypatch.setattr(type(POSTGRESQL), "version", lambda _: (17,))
    if older:
        with pytest.raises(Refused, match="is older than 17 here") as no:
            switch.begin_alone(shop, peer, ["files", "postgresql"])
        assert no.value.code == "older_engine"
    else:
        switch.begin_alone(shop, peer, ["files", "postgresql"])
    switch.begin_alone(shop, peer, ["files"])
    switch.begin_alone(ALICE.without(accounts.ENGINES), peer, ["files", "postgresql"])
