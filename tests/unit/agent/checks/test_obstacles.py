"""`obstacles`: every refusal of a move that a look can find beforehand is told, with whose it is to mend."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from include.agent import protocol, verbs
from include.agent.account import accounts
from include.agent.account.accounts import Account, State
from include.agent.checks import obstacles
from include.agent.host import sandbox
from include.agent.host.system import Refused, refuse
from include.agent.move import fence, redirect
from include.agent.stores.mariadb import charsets, definers, digest, roles, writers
from include.agent.stores.mariadb import definition as mariadb_definition
from include.agent.stores.mariadb import store as mariadb
from include.agent.stores.postgresql import definition as postgres_definition
from include.agent.stores.postgresql import grants, hold, logins
from include.agent.verbs.verb import asked

STATEMENT = {
    "account": "shop",
    "uid": 2001,
    "gid": 2001,
    "home": "/home/shop",
    "sites": [],
    "postgresql": {"roles": ["shop", "shop_ro"], "databases": ["shop", "forum"]},
    "mariadb": {"users": [{"user": "shop", "host": "%"}], "databases": ["wiki"]},
    "mail": {},
}
FILES, POSTGRESQL, MARIADB = "files", "postgresql", "mariadb"
READ = (
    mariadb,
    charsets,
    definers,
    mariadb_definition,
    digest,
    roles,
    writers,
    postgres_definition,
    grants,
    hold,
    logins,
)
"""What the look asks."""
LATER = {"connections_remain", "bad_grant"}
"""Refusals there that are a hold's, or the other server's."""


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account that serves and has nothing that stands in its way."""
    account = Account.from_json(STATEMENT)
    monkeypatch.setattr(obstacles, "load", lambda name: account)
    state = State("serving", epoch=1)
    for module in (obstacles, fence):
        monkeypatch.setattr(module, "state_of", lambda name: state)
    for module, name, result in (
        (obstacles.digest, "left_behind", []),
        (postgres_definition, "definition", {"left": []}),
        (hold, "refuse_prepared", None),
        (mariadb_definition, "definition", {"left": []}),
        (writers, "refuse_references", None),
        (writers, "foreign", []),
        (mariadb_definition, "refuse_history", None),
        (digest, "tables_of", {}),
        (mariadb_definition, "broken_views", set()),
        (definers, "heirs", {"wiki": "shop@%"}),
        (mariadb_definition, "listed_objects", []),
        (redirect, "require_leadable", None),
    ):
        monkeypatch.setattr(module, name, lambda *_, _result=result: _result)
    return account


def look(*stores: str) -> verbs.LookedAhead:
    return obstacles.obstacles(verbs.Obstacles(account="shop", stores=[*stores]), lambda **_: None)


def refusing(code: str, message: str) -> Any:
    return lambda *_: refuse(code, message)


def test_nothing_stands_in_the_way(account: Account) -> None:
    assert look(FILES, POSTGRESQL, MARIADB) == verbs.LookedAhead(obstacles=[], left=[])
    assert verbs.Obstacles in dict(protocol.LONG_VERBS)


def test_a_file_that_cannot_be_read_and_paths_that_stay(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk's own words, from the process in the sandbox to the sentence."""
    said = b"data/a\\x1bb: a program holds a lease on it (fcntl F_SETLEASE); end it\n"
    monkeypatch.setattr(obstacles.digest, "left_behind", lambda _: sandbox.call("/home/shop", "w", request={}))
    done = sandbox.subprocess.CompletedProcess([], 1, b"", said)
    monkeypatch.setattr(sandbox.subprocess, "run", lambda *_, **__: done)
    (one,) = look(FILES).obstacles
    assert one.who == "customer" and "data/a\\x1bb: a program holds a lease on it" in one.sentence
    deep = "Of the files, 1 (below a path of more than 4,000 bytes) are not carried as they are: a\x1b/b."
    monkeypatch.setattr(obstacles.digest, "left_behind", lambda _: [deep])
    assert look(FILES) == verbs.LookedAhead(obstacles=[], left=[deep.replace("\x1b", "\\x1b")])


def test_one_database_does_not_hide_another(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def definition(one: Account) -> dict[str, Any]:
        for name in one.postgresql_databases:
            refuse("foreign_role", f"In database {name} table t belongs to postgres; ALTER TABLE t OWNER TO shop.")
        return {"left": ["Role shop: SUPERUSER is not carried."]}

    monkeypatch.setattr(postgres_definition, "definition", definition)
    found = look(POSTGRESQL)
    assert [one.sentence.split()[2] for one in found.obstacles] == ["shop", "forum"]
    assert {one.who for one in found.obstacles} == {"host"}
    assert found.left == ["Role shop: SUPERUSER is not carried."]


def test_each_store_tells_what_it_finds_once_and_goes_on(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_definition, "definition", refusing("foreign_member", "The role eve may act as shop."))
    monkeypatch.setattr(digest, "tables_of", refusing("engine_blocked", "The table c has the engine CONNECT."))
    monkeypatch.setattr(mariadb_definition, "refuse_history", refusing("history_blocked", "The table h: TIMESTAMP(6)."))
    items = [{"database": "wiki", "name": f"v{n}", "kind": "VIEW", "definer": "x@y"} for n in range(100)]
    monkeypatch.setattr(mariadb_definition, "listed_objects", lambda _: items)
    refused = lambda _account, item, _heirs: refuse("foreign_definer", f"The view wiki.{item['name']} runs as x@y.")  # noqa: E731
    monkeypatch.setattr(mariadb_definition, "refuse_unmovable", refused)
    found = look(POSTGRESQL, MARIADB).obstacles
    assert [one.sentence for one in found[:4]] == [
        "The role eve may act as shop.",
        "The table h: TIMESTAMP(6).",
        "The table c has the engine CONNECT.",
        "The view wiki.v0 runs as x@y.",
    ]
    assert len(found) == obstacles.MOST


def test_others_who_write_to_its_databases(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    eve = writers.Writer("e\x1bve", "%", "INSERT on wiki.*", "REVOKE it")
    monkeypatch.setattr(writers, "foreign", lambda _: [eve])
    (one,) = look(MARIADB).obstacles
    assert one.who == "host" and "e\\x1bve@%" in one.sentence and "REVOKE it" in one.sentence


def test_a_state_that_no_account_leaves_from(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obstacles, "state_of", lambda _: State("moved", epoch=1))
    (one,) = look(FILES).obstacles
    assert one == verbs.Obstacle(sentence="The account shop is moved here; only one that serves can leave.", who="host")


def test_databases_that_live_elsewhere_already(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State("serving", epoch=1, engines={"postgresql": {"to": "10.0.0.9"}})
    for module in (obstacles, fence):
        monkeypatch.setattr(module, "state_of", lambda _: state)
    assert "live on 10.0.0.9" in look(FILES).obstacles[0].sentence
    assert "live on 10.0.0.9" in look(POSTGRESQL).obstacles[0].sentence
    assert look(MARIADB).obstacles == []


def test_of_one_engine_who_logs_in_by_something_else_than_a_password(account, monkeypatch) -> None:
    said = "The PostgreSQL role shop may log in by the socket by peer; let pg_hba.conf ask it for a password."
    monkeypatch.setattr(redirect, "require_leadable", refusing("not_led", said))
    assert look(POSTGRESQL).obstacles == [verbs.Obstacle(sentence=said, who="host")]
    nothing = "The account shop has no postgresql databases."
    monkeypatch.setattr(redirect, "require_leadable", refusing("nothing_to_move", nothing))
    assert look(POSTGRESQL).obstacles == [verbs.Obstacle(sentence=nothing, who="nobody")]
    assert look(FILES, POSTGRESQL).obstacles == [], "a whole account takes its programs along"


def test_a_server_that_does_not_answer_says_nothing_of_the_account(account, monkeypatch) -> None:
    """Nobody has looked then: it is refused, and not told as something of the customer's."""
    monkeypatch.setattr(postgres_definition, "definition", refusing("timed_out", "psql did not end within 120 s."))
    with pytest.raises(Refused, match="did not end"):
        look(POSTGRESQL)


@pytest.mark.parametrize("stores", [None, [], ["disk"], "files", [1]])
def test_wrong_stores_are_refused(account: Account, stores: Any) -> None:
    with pytest.raises(Refused, match="must be") as refused:
        want = asked(verbs.Obstacles, {"account": "shop", "stores": stores})
        obstacles.obstacles(cast(verbs.Obstacles, want), lambda **_: None)
    assert refused.value.code == "bad_args"


def test_none_of_an_account_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "CONFIG", tmp_path)
    with pytest.raises(Refused, match="There is no account shop"):
        look(FILES)


@pytest.mark.parametrize("module", READ, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_refusal_of_what_the_look_asks_is_known(module: ModuleType) -> None:
    """A new refusal in what a move reads beforehand has to say whose it is."""
    codes = {
        ast.literal_eval(call.args[0])
        for function in ast.parse(inspect.getsource(module)).body
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", "") == "refuse"
        and isinstance(call.args[0], ast.Constant)
    }
    assert codes - LATER <= {*obstacles.WHOSE}
