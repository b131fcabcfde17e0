"""Who has rights on a database of MariaDB, by its tables of rights, and whether a password is a user's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from include.agent.stores.mariadb import access
from include.agent.stores.mariadb.passwords import can_be_tried, is_password

TABLES: dict[str, list[tuple[str, ...]]] = {
    "db": [
        ("", "%", "wp"),
        ("app", "127.0.0.1", "wp"),
        ("app", "localhost", "wp"),
        ("c1_admin", "localhost", "c1\\_%"),
        ("dump", "localhost", "%"),
        ("PUBLIC", "", "wp"),
        ("root", "localhost", "wp"),
        ("staff", "", "forum"),
        ("th_read_x", "localhost", "wp"),
    ],
    "global_priv": [
        ("root", "localhost", '{"access": 549755813887, "plugin": "unix_socket"}'),
        ("app", "localhost", '{"access": 32768}'),
        ("staff", "", "{}"),
    ],
    "tables_priv": [("reader", "%", "wp"), ("reader", "%", "gone")],
    "columns_priv": [("reader", "%", "wp")],
    "procs_priv": [("caller", "localhost", "forum")],
    "roles_mapping": [("chiefs", "", "staff"), ("ann", "localhost", "staff"), ("bob", "%", "chiefs")],
}
DATABASES = ["wp", "c1_a", "c1_b", "c1xa", "forum"]


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def query(_columns: Sequence[str], rest: str) -> list[tuple[str, ...]]:
        return TABLES[rest.split()[1].removeprefix("mysql.")]

    monkeypatch.setattr(access, "query", query)


def told(users: list[Any]) -> list[str]:
    return [f"{user['user']}@{user['host']}" for user in users]


def test_owners_are_users_at_each_host_with_rights_on_a_whole_database_of_their_own_or_by_a_role() -> None:
    owners = access.of_databases(DATABASES, ("db",))
    assert {name: told(users) for name, users in owners.items()} == {
        "wp": ["app@127.0.0.1", "app@localhost", "dump@localhost"],
        "c1_a": ["c1_admin@localhost", "dump@localhost"],
        "c1_b": ["c1_admin@localhost", "dump@localhost"],
        "c1xa": ["dump@localhost"],
        "forum": ["dump@localhost", "ann@localhost", "bob@%"],
    }


def test_who_has_rights_on_a_part_is_told_once() -> None:
    guests = access.of_databases(DATABASES, ("tables_priv", "columns_priv", "procs_priv"))
    assert {name: told(users) for name, users in guests.items() if users} == {
        "wp": ["reader@%"],
        "forum": ["caller@localhost"],
    }


# As the server itself writes them for these passwords.
NATIVE = {"plugin": "mysql_native_password", "authentication_string": "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"}
ED25519 = {"plugin": "ed25519", "authentication_string": "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"}


def test_a_password_opens_its_user_in_any_of_the_ways_that_it_has() -> None:
    socket = {"plugin": "unix_socket"}
    for kept, password in ((NATIVE, "password"), (ED25519, "secret")):
        for each in (kept, {"auth_or": [socket, kept]}, {**kept, "auth_or": [{}, socket]}):
            assert can_be_tried(each) and is_password(each, password), each
            assert not any(is_password(each, wrong) for wrong in ("", "Password", "secret ", "\udcff", "x" * 9000))
    both = {"auth_or": [NATIVE, ED25519]}
    assert is_password(both, "password") and is_password(both, "secret")


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"plugin": "mysql_native_password", "authentication_string": ""},
        {"plugin": "unix_socket", "authentication_string": "invalid"},
        {"plugin": "caching_sha2_password", "authentication_string": "$A$005$salt"},
        {"is_role": True},
    ],
)
def test_what_is_of_no_known_kind_or_is_no_password_is_not_tried(kept: dict[str, Any]) -> None:
    assert not can_be_tried(kept)
    assert not any(is_password(kept, each) for each in ("", "invalid", "x"))


def test_hashes_that_are_none_open_nothing() -> None:
    for text in ("invalid", "5d2e19393cc5ef67", "*", "*XYZ", "é", "A" * 43, "!" * 43, "ab"):
        for plugin in ("mysql_native_password", "ed25519"):
            kept = {"plugin": plugin, "authentication_string": text}
            assert not any(is_password(kept, each) for each in ("", text, "x"))


def test_users_whose_password_can_be_tried_are_told_as_the_account_file_tells_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    users = [("wp", "LocalHost", json.dumps(NATIVE)), ("sock", "localhost", "{}"), ("", "%", json.dumps(NATIVE))]
    monkeypatch.setitem(TABLES, "global_priv", [*users, ("role", "", json.dumps(NATIVE))])
    found = access.passwords()
    assert [*found] == ["wp@localhost"] and found["wp@localhost"]("password")
