"""Who owns, or has rights in, a database of PostgreSQL, and whether a password is a role's: asked of a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from include.agent.stores.postgresql import access
from include.agent.stores.postgresql.passwords import can_be_tried, is_password
from tests.support.postgres import cluster

_ROLES = """
CREATE ROLE app LOGIN PASSWORD 'x-1'; CREATE ROLE reader LOGIN; CREATE ROLE nobody LOGIN; CREATE ROLE chief SUPERUSER;
CREATE ROLE team; CREATE ROLE one LOGIN IN ROLE team; CREATE ROLE readers; CREATE ROLE two LOGIN IN ROLE readers;
CREATE ROLE caller LOGIN; CREATE ROLE th_ours LOGIN; CREATE ROLE "o'dd é" LOGIN PASSWORD 'p';
"""
_ACCESS = """
CREATE TABLE a (id int); ALTER TABLE a OWNER TO app; GRANT SELECT ON a TO reader, chief, th_ours, readers;
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION f() TO caller;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[psycopg.Connection[Any]]:
    with cluster() as dsn:
        with psycopg.connect(f"{dsn} dbname=postgres", autocommit=True) as conn:
            for statement in filter(str.strip, _ROLES.split(";")):
                conn.execute(statement.encode())
            for database, owner in (
                ("supers", "postgres"),
                ("teams", "team"),
                ("empty", "chief"),
                ("odd", '"o\'dd é"'),
            ):
                conn.execute(f"CREATE DATABASE {database} OWNER {owner}".encode())
            conn.execute(b"GRANT CONNECT ON DATABASE odd TO caller")
            with psycopg.connect(f"{dsn} dbname=supers", autocommit=True) as other:
                other.execute(_ACCESS.encode())
            yield conn


@pytest.fixture(autouse=True)
def asked(server: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def query(sql: str) -> list[Any]:
        rows = [row[0] for row in server.execute(sql.encode()).fetchall()]
        return [json.loads(row) if isinstance(row, str) else row for row in rows]

    monkeypatch.setattr(access, "query", query)


NAMES = ["supers", "teams", "empty", "odd"]


def test_a_database_is_of_its_owner_of_the_owners_in_it_and_of_who_acts_as_they_do() -> None:
    assert access.of_databases(NAMES, access.OWNERS) == {
        "supers": ["app"],
        "teams": ["team", "one"],
        "empty": [],
        "odd": ["o'dd é"],
    }


def test_who_was_given_a_privilege_is_a_guest() -> None:
    assert access.of_databases(NAMES, access.GUESTS) == {
        "supers": ["caller", "reader", "readers", "two"],
        "teams": [],
        "empty": [],
        "odd": ["caller"],
    }


@pytest.mark.parametrize("kind", ["scram-sha-256", "md5"])
@pytest.mark.parametrize("password", ["x-1", 'it\'s \\ "q"', "Grüße ½", "日本語", " pad "])
def test_a_password_opens_its_role_and_no_other_one_does(
    server: psycopg.Connection[Any], kind: str, password: str
) -> None:
    server.execute(f"SET password_encryption = '{kind}'".encode())
    literal = psycopg.sql.Literal(password)
    for role in ("app", "o'dd é"):
        server.execute(psycopg.sql.SQL("ALTER ROLE {} PASSWORD {}").format(psycopg.sql.Identifier(role), literal))
        opens = access.passwords()[role]
        assert opens(password)
        assert not any(opens(wrong) for wrong in ("", "x", password + "x", role, "\udcff", "0" * 200))
    assert {*access.passwords()} == {"app", "o'dd é"}


def test_what_costs_too_much_or_is_of_no_known_kind_is_not_tried() -> None:
    scram = "SCRAM-SHA-256${}:c2FsdA==$AAAA:AAAA"
    assert can_be_tried(scram.format(4096)) and not can_be_tried(scram.format(999_999_999))
    assert not can_be_tried(scram.format(0)) and not can_be_tried("md5short") and not can_be_tried("plain")
    began = time.monotonic()
    assert not is_password("app", scram.format(4096), "x") and not is_password("app", "SCRAM-SHA-256$1:a$b:c", "x")
    assert time.monotonic() - began < 1
