"""What is opened before a hold is still open in it, and ends with the run: clients and programs are counted."""

from __future__ import annotations

from typing import Any

import pytest

from include.agent.account.accounts import Account
from include.agent.host.kept import Kept
from include.agent.host.system import Refused, side_by_side
from include.agent.stores.files import look
from include.agent.stores.files.trees import Tree
from include.agent.stores.mariadb import follower
from include.agent.stores.mariadb import sql as mariadb_sql
from include.agent.stores.postgresql import sql as postgres_sql
from tests.support.two_servers import statement

ALICE, BOB = (Account.from_json(statement(name)) for name in ("alice", "bob"))


class Client:
    """In the place of a database's client, or of the program that looks at files."""

    all: list[Client]

    def __init__(self, *given: Any, **_: Any) -> None:
        self.given, self.dead, self.closed = given, False, False
        self.asked: list[Any] = []
        type(self).all.append(self)

    def query(self, script: str) -> list[Any]:
        self.asked.append(script)
        if self.dead or self.closed:
            raise Refused("postgresql_failed", "PostgreSQL refused a step.")
        return [len(self.all)]

    execute = query

    def run(self, statements: list[str], what: str = "") -> list[Any]:
        self.asked += statements
        return [[] for _ in statements]

    @property
    def alive(self) -> bool:
        return not self.dead

    def answers(self, *statements: str) -> bool:
        self.asked += statements
        return not self.dead

    def close(self) -> None:
        self.closed = True

    # As a program that looks.

    @property
    def process(self) -> Client:
        return self

    def poll(self) -> int | None:
        return 1 if self.dead else None

    end = close


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    class OfATest(Client):
        all: list[Client] = []

    for module, name in ((postgres_sql, "Session"), (mariadb_sql, "Session"), (follower, "Session"), (look, "Looking")):
        monkeypatch.setattr(module, name, OfATest)
    return OfATest.all


def ended(clients: list[Client]) -> list[bool]:
    return [client.closed for client in clients]


def test_postgresql_has_one_session_for_each_database_and_login(
    clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in: list[str] = []
    monkeypatch.setattr(postgres_sql, "let_in", let_in.append)
    with Kept():
        first = postgres_sql.kept("shop")
        assert {*side_by_side(*[lambda: postgres_sql.kept("shop")] * 8)} == {first} and len(clients) == 1
        postgres_sql.kept()
        postgres_sql.kept("shop", ("th_read_alice", "secret"))
        assert [client.given for client in clients] == [
            ("shop", None),
            ("postgres", None),
            ("shop", ("th_read_alice", "secret")),
        ]
        assert postgres_sql.kept_backends() == [1, 2, 3] and let_in == ["th_read_alice"]
        assert ended(clients) == [False] * 3
    assert ended(clients) == [True] * 3


def test_a_postgresql_session_that_ended_is_opened_anew(clients: list[Client]) -> None:
    with Kept():
        first = postgres_sql.kept("shop")
        clients[0].dead = True
        assert postgres_sql.kept("shop") is not first and ended(clients) == [True, False]
        postgres_sql.kept("wiki")
        postgres_sql.end_kept(["shop", "other"])
        assert ended(clients) == [True, True, False]
        assert postgres_sql.kept("wiki") is clients[2] and len(clients) == 3


def test_mariadb_has_as_many_root_sessions_as_are_used_at_once(clients: list[Client]) -> None:
    with Kept():
        for _ in range(3):
            mariadb_sql.queries(["DO 1"])
        assert len(clients) == 1
        with mariadb_sql.root() as one, mariadb_sql.root() as other:
            assert one is clients[0] and other is clients[1]
        mariadb_sql.queries(["DO 1"])
        assert len(clients) == 2
        with pytest.raises(Refused), mariadb_sql.root():
            raise Refused("mariadb_failed", "MariaDB refused a step.")
        assert sorted(ended(clients)) == [False, True], "one that failed is used by nobody else"
    assert ended(clients) == [True, True]


def test_a_root_session_forgets_what_the_one_before_has_set(clients: list[Client]) -> None:
    with Kept():
        mariadb_sql.queries([mariadb_sql.UNLOGGED])
        mariadb_sql.queries(["DO 1"])
        asked = clients[0].asked
        assert "SET SESSION sql_log_bin = 1" in asked[asked.index(mariadb_sql.UNLOGGED) :]


def test_following_has_one_session_of_each_kind(clients: list[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "entering", Kept)
    monkeypatch.setattr(follower, "login", lambda account, kind: (account.name, kind))
    with Kept():
        reading = follower.session(ALICE, follower.READING)
        assert follower.session(ALICE, follower.READING) is reading
        follower.session(ALICE, follower.MAKING)
        of_bob = follower.session(BOB, follower.READING)
        clients[1].dead = True
        follower.session(ALICE, follower.MAKING)
        assert ended(clients) == [False, True, False, False]
        follower.close(ALICE)
        assert ended(clients) == [True, True, False, True]
        assert follower.session(BOB, follower.READING) is of_bob
    assert ended(clients) == [True] * 4


def test_one_program_looks_at_the_files_of_an_account(clients: list[Client]) -> None:
    with Kept():
        assert {*side_by_side(*[lambda: look.begin(Tree(ALICE), writable=False)] * 8)} == {clients[0]}
        look.begin(Tree(BOB), writable=True)
        clients[1].dead = True
        assert look.begin(Tree(BOB), writable=True) is clients[2]
        look.end(Tree(ALICE))
        look.end(Tree(ALICE))
        assert ended(clients) == [True, False, False]
    assert ended(clients) == [True, False, True]


def test_a_run_does_not_use_what_another_has_opened(clients: list[Client]) -> None:
    for _ in range(2):
        with Kept():
            postgres_sql.kept()
            mariadb_sql.queries(["DO 1"])
    assert len(clients) == 4 and ended(clients) == [True] * 4
