"""The stores of an account: each is asked by verbs of its own, and what follows one is that following's alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from include.agent import peer_verbs
from include.agent.account import accounts
from include.agent.account.accounts import Account
from include.agent.move import stores
from include.agent.stores.files import follow
from include.agent.stores.files.index import Index
from include.agent.stores.files.store import FILES
from include.agent.stores.files.trees import Tree
from include.agent.stores.store import Followed, Nothing
from tests.support.account_files import FILE

ALICE = Account.from_json(FILE)
PEER: Any = SimpleNamespace(move="m1", apart=lambda: SimpleNamespace(close=lambda: None))


def test_a_peer_finds_every_verb_of_every_store() -> None:
    verbs = [verb for store in stores.STORES for verb, _ in store.peer_verbs]
    assert len(verbs) == len({verb.name for verb in verbs})
    assert {*verbs} <= {verb for verb, _ in peer_verbs.PEER_VERBS}
    assert all(store.digest_verb in [verb for verb, _ in store.peer_verbs] for store in stores.STORES)


def test_the_engines_are_those_of_an_account_file() -> None:
    assert tuple(engine.name for engine in stores.ENGINES) == accounts.ENGINES
    assert [stores.engine_named(name).name for name in accounts.ENGINES] == [*accounts.ENGINES]


@pytest.mark.parametrize("store", stores.ENGINES, ids=lambda store: store.name)
def test_of_an_account_without_databases_nothing_is_asked_until_the_end(store: Any, monkeypatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(store, "unfollow", lambda account: ended.append(account.name))
    following = store.follow(ALICE.without(accounts.ENGINES), PEER, lambda **_: None)
    assert isinstance(following, Nothing) and following.followed == Followed()
    assert following.rehearse().seconds == 0 and following.compare().different == ()
    following.final_pass()
    assert ended == []
    following.stop()
    assert ended == ["alice"]


def test_two_followings_of_an_account_share_nothing() -> None:
    one, other = (follow.Watched(FILES, Tree(ALICE), PEER, Followed(), "token", 0, Index()) for _ in range(2))
    one.unproven[b"a"] = 0
    one.mapped.add(b"a")
    assert not other.unproven and not other.mapped
