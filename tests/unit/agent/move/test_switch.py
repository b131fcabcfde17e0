"""The order of a switch: what is refused before any hold, and what a difference does."""

from dataclasses import replace
from typing import Any

import pytest

from include.agent import verbs
from include.agent.account import accounts
from include.agent.account.accounts import Account
from include.agent.host import holds
from include.agent.host.codec import plain
from include.agent.host.system import Refused, read_json
from include.agent.layouts import provisioning
from include.agent.layouts.native import mail
from include.agent.move import forward, identity, stores, switch
from include.agent.stores.postgresql.store import POSTGRESQL
from include.agent.verbs import verb
from include.agent.verbs.reports import Verified
from tests.support.switching import ALICE, FakePeer, OnItsWay, args, faked


def test_only_the_last_and_its_comparison_happen_in_the_hold(asked: list[str]) -> None:
    done = switch.switch(args(), lambda **_: None)
    held = asked[asked.index("hold") : asked.index("let go")]
    names = ("files", *accounts.ENGINES)
    assert held == ["hold", *(f"{s} {w}" for s in names for w in ("final pass", "compare")), "commit", "release"]
    count = len(accounts.ENGINES)
    assert done.verified == Verified(files=1, bytes=1, tables=count, rows=count, equal=True, messages=3)
    assert asked[-len(names) :] == [f"{name} unfollow" for name in names]
    assert {way.store for way in done.ways} == {*names}


def test_the_proof_says_what_it_covers_and_what_was_left(asked: list[str]) -> None:
    faked("mariadb").left = ["A grant is not carried."]
    done = switch.switch(args(), lambda **_: None)
    assert done.left == ["A grant is not carried."]
    assert {*done.scope} == {"files", *accounts.ENGINES, "identity", "mail"}
    assert done.scope["mariadb"].how == "word by word"
    # What is told must outlive a switch that is killed after its commit.
    assert accounts.state_of("alice").figures["left"] == done.left


def test_what_the_host_makes_itself_is_named_as_not_compared() -> None:
    scope = identity.scope(replace(ALICE, provisioned=True))
    assert scope.without[:-1] == identity.scope(ALICE).without == identity.SCOPE.without
    assert "the host's own provisioning" in scope.without[-1]


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
    assert switch.switch(args(budget_seconds=5), lambda **_: None).expected_ms == 4500


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


def test_extras_are_judged_before_the_copy_and_sent_when_the_home_is_there(asked: list[str], monkeypatch) -> None:
    monkeypatch.setattr(identity, "require_extras", lambda _: asked.append("judged"))
    monkeypatch.setattr(identity, "send_extras", lambda *_: asked.append("sent"))
    switch.switch(args(), lambda **_: None)
    order = ("judged", "files follow", "sent", "files rehearse", "hold")
    assert [each for each in asked if each in order] == [*order]


STEPS = ("still", "last", "compared")


def test_the_steps_of_a_hold_are_timed(asked: list[str]) -> None:
    steps = [step.name for step in switch.switch(args(), lambda **_: None).steps]
    of_stores = [f"{name} {step}" for name in ("files", *accounts.ENGINES) for step in STEPS]
    of_stores.insert(1, "identity")
    assert steps == ["follow", "rehearse", "deadline", "front", *of_stores, "commit", "release", "forward", "unfollow"]


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


def test_what_the_hosts_own_steps_take_is_foreseen(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsed: list[str] = []
    monkeypatch.setattr(FakePeer, "open_seconds", 0.05)

    def rehearse(_account: Account, *steps: str) -> float:
        rehearsed.extend(steps)
        return 0.15

    monkeypatch.setattr(provisioning, "rehearse", rehearse)
    assert switch.switch(args(), lambda **_: None).expected_ms == 600
    assert rehearsed == ["close", "open"] and read_json(holds._HOLDS) == [0.0]


def test_a_step_of_the_hosts_that_fails_its_rehearsal_begins_no_hold(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> float:
        raise Refused("step_failed", "The host's step close did not end within 0.5 s and was ended: see why.")

    monkeypatch.setattr(provisioning, "rehearse", refuse)
    with pytest.raises(Refused, match="did not end"):
        switch.switch(args(), lambda **_: None)
    assert "hold" not in asked and accounts.state_of("alice").state == "serving"
