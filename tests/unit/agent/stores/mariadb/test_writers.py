"""Everybody who may write to an account's databases besides the account is found, however the right was given."""

import json
from types import SimpleNamespace

import pytest

from include.agent.account.accounts import Account
from include.agent.host import ours
from include.agent.host.system import Refused
from include.agent.stores.mariadb import writers as mariadb_writers

ACCOUNT = Account.from_json(
    {
        "account": "acct",
        "uid": 2001,
        "gid": 2001,
        "home": "/home/acct",
        "shell": "/bin/bash",
        "mariadb": {"users": [{"user": "acct", "host": "localhost"}], "databases": ["acct_db"]},
    }
)
MARK = 1234567890
PASSWORD = {"plugin": "mysql_native_password", "authentication_string": "*0"}
USERS = {
    ("root", "localhost"): {"plugin": "mysql_native_password", "auth_or": [{}, {"plugin": "unix_socket"}]},
    ("acct", "localhost"): PASSWORD,
    ("th_follow_acct", "localhost"): PASSWORD | {"max_connections": MARK},
    ("other", "%"): PASSWORD,
    ("", "localhost"): PASSWORD,
    ("PUBLIC", ""): {"is_role": True},
    ("agency", ""): {"is_role": True},
    ("inner", ""): {"is_role": True},
}
OTHER, ALL = "'other'@'%'", "'root'@'localhost'"
NOBODY: dict[str, list[list[str]]] = {}


def found(monkeypatch, users=USERS, **rights: list[list[str]]) -> list[mariadb_writers.Writer]:
    rows = {
        "mysql.global_priv": [[user, host, json.dumps(priv)] for (user, host), priv in users.items()],
        "mysql.roles_mapping": rights.get("roles", []),
        "USER_PRIVILEGES": [[ALL, "INSERT"], *rights.get("everywhere", [])],
        "SCHEMA_PRIVILEGES": [["'acct'@'localhost'", "INSERT", "acct\\_db"], *rights.get("databases", [])],
        "TABLE_PRIVILEGES": rights.get("tables", []),
        "COLUMN_PRIVILEGES": rights.get("columns", []),
        "mysql.procs_priv": rights.get("routines", []),
        "mysql.proxies_priv": [["root", "localhost", "", ""], *rights.get("proxies", [])],
    }

    def queries(statements: list[str]) -> list[list[list[str]]]:
        return [next(some for name, some in rows.items() if name in statement) for statement in statements]

    monkeypatch.setattr(mariadb_writers, "queries", queries)
    monkeypatch.setattr(ours, "mark", lambda _name: MARK)
    monkeypatch.setattr(mariadb_writers, "all_accounts", lambda: [ACCOUNT, SimpleNamespace(name="customer")])
    return mariadb_writers.foreign(ACCOUNT)


@pytest.mark.parametrize(
    ("rights", "by"),
    [
        ({"everywhere": [[OTHER, "UPDATE"]]}, "UPDATE ON *.*"),
        ({"everywhere": [[OTHER, "SUPER"]]}, "SUPER ON *.*"),
        ({"databases": [[OTHER, "DELETE", "acct\\_db"]]}, "DELETE ON `acct\\_db`.*"),
        ({"databases": [[OTHER, "CREATE", "acct%"]]}, "CREATE ON `acct%`.*"),
        ({"databases": [[OTHER, "DROP", "a__t_db"]]}, "DROP ON `a__t_db`.*"),
        ({"databases": [[OTHER, "UPDATE", "mysql"]]}, "UPDATE ON `mysql`.*"),
        ({"tables": [[OTHER, "INSERT", "acct_db", "t"]]}, "INSERT ON `acct_db`.`t`"),
        ({"columns": [[OTHER, "UPDATE", "acct_db", "t"]]}, "UPDATE ON `acct_db`.`t`"),
        ({"routines": [["other", "%", "PROCEDURE", "acct_db", "p"]]}, "EXECUTE ON PROCEDURE `acct_db`.`p`"),
        ({"databases": [[OTHER, "EXECUTE", "acct\\_db"]]}, "EXECUTE ON `acct\\_db`.*"),
        ({"proxies": [["other", "%", "acct", "LOCALHOST"]]}, "PROXY ON 'acct'@'LOCALHOST'"),
        ({"proxies": [["other", "%", "", "%"]]}, "PROXY ON ''@'%'"),
        ({"databases": [[OTHER, "A RIGHT TO COME", "acct\\_db"]]}, "A RIGHT TO COME ON `acct\\_db`.*"),
        (
            {"roles": [["other", "%", "agency"]], "databases": [["'agency'@''", "INSERT", "acct\\_db"]]},
            "INSERT ON `acct\\_db`.* by agency",
        ),
        (
            {
                "roles": [["other", "%", "agency"], ["agency", "", "inner"]],
                "tables": [["'inner'@''", "INSERT", "acct_db", "t"]],
            },
            "INSERT ON `acct_db`.`t` by inner",
        ),
    ],
)
def test_a_writer_is_found(monkeypatch, rights: dict[str, list[list[str]]], by: str) -> None:
    (one,) = found(monkeypatch, **rights)
    assert (one.user, one.host, one.by) == ("other", "%", by)
    said = mariadb_writers.sentence(ACCOUNT, one)
    assert "other@%" in said and ("REVOKE" in said or "ACCOUNT LOCK" in said)


def test_what_is_granted_to_everybody_is_granted_to_each(monkeypatch) -> None:
    writers = found(monkeypatch, databases=[["'PUBLIC'@''", "INSERT", "acct\\_db"]])
    assert {(one.user, one.host) for one in writers} == {("other", "%"), ("", "localhost")}
    assert "FROM PUBLIC" in mariadb_writers.sentence(ACCOUNT, writers[0])


def test_a_name_of_the_agents_alone_makes_nobody_the_agents(monkeypatch) -> None:
    rights = [["'th_follow_acct'@'localhost'", "INSERT", "acct\\_db"]]
    assert found(monkeypatch, databases=rights) == []
    (one,) = found(monkeypatch, USERS | {("th_follow_acct", "localhost"): PASSWORD}, databases=rights)
    assert one.user == "th_follow_acct"


@pytest.mark.parametrize("host", ["y@localhost", "a'@'b", "a`b"])
def test_a_host_by_which_a_user_is_taken_for_another_is_refused(monkeypatch, host: str) -> None:
    with pytest.raises(Refused) as error:
        found(monkeypatch, USERS | {("x", host): PASSWORD})
    assert error.value.code == "unclear_user"


@pytest.mark.parametrize(
    "rights",
    [
        NOBODY,
        {"everywhere": [[OTHER, "PROCESS"], [OTHER, "SELECT"], [OTHER, "USAGE"]]},
        {"databases": [[OTHER, "SELECT", "acct\\_db"], [OTHER, "INSERT", "other\\_db"], [OTHER, "DROP", "acct"]]},
        {"roles": [["acct", "localhost", "agency"]], "databases": [["'agency'@''", "INSERT", "acct\\_db"]]},
    ],
)
def test_who_cannot_write_is_none(monkeypatch, rights: dict[str, list[list[str]]]) -> None:
    assert found(monkeypatch, **rights) == []


@pytest.mark.parametrize(
    ("name", "priv", "is_one"),
    [
        ("admin", {"plugin": "unix_socket"}, False),
        ("customer", {"plugin": "unix_socket"}, True),
        ("admin", {"plugin": "unix_socket", "authentication_string": "customer"}, True),
        ("admin", PASSWORD, True),
        ("admin", {**PASSWORD, "account_locked": True}, False),
    ],
)
def test_the_host_itself_is_none(monkeypatch, name: str, priv: dict[str, str], is_one: bool) -> None:
    users = {**USERS, (name, "localhost"): priv}
    assert bool(found(monkeypatch, users, everywhere=[[f"'{name}'@'localhost'", "UPDATE"]])) is is_one


def test_root_from_elsewhere_is_one(monkeypatch) -> None:
    users = {**USERS, ("root", "%"): PASSWORD}
    monkeypatch.setattr(mariadb_writers, "_references", lambda account: [])
    assert [one.host for one in found(monkeypatch, users, everywhere=[["'root'@'%'", "UPDATE"]])] == ["%"]
    with pytest.raises(Refused, match="root@%"):
        mariadb_writers.refuse_foreign(ACCOUNT)
