"""What the source writes down of a following comes back as it was, and is cleared as a whole."""

from pathlib import Path

import pytest

from include.agent.account import accounts
from include.agent.account.accounts import Account
from include.agent.stores.mariadb.changes import Position
from include.agent.stores.mariadb.state import State, state_path
from tests.support.two_servers import statement


@pytest.fixture
def alice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(accounts, "STATE", tmp_path)
    account = Account.from_json(statement("alice"))
    account.directory.mkdir(parents=True)
    return account


def test_what_was_written_down_comes_back_and_is_cleared(alice: Account) -> None:
    state, table = State(alice), ("shop", "orders")
    fresh = vars(State(alice))
    state.token, state.databases, state.position = "abc", ["shop"], Position("bin.000001", 4, "stamp")
    state.load, state.unproven, state.carried = {table}, {("shop", "news")}, {table: {(b"1".hex(),)}}
    state.prints, state.rest, state.started = {table: "print"}, "rest", "run"
    state.touched, state.told, state.prepared = {table: "now"}, "told", [("bin.000001", 4, 9)]
    state.save()
    assert vars(State(alice)) == vars(state) != fresh
    state.clear()
    assert not state_path(alice).exists() and vars(state) == vars(State(alice)) == fresh
