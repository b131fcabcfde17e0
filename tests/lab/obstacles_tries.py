"""An account with what a move refuses, on a real PostgreSQL and MariaDB and in a real home, looked at by the agent's
`obstacles`; run beside `who_else_tries`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from include.agent.account.accounts import Account, State, put_state
from include.agent.checks import obstacles
from include.agent.host.codec import plain
from include.agent.stores.mariadb import sql
from include.agent.stores.postgresql import sql as postgres_sql
from include.agent.verbs import Obstacles
from tests.lab.who_else_tries import _customer, psql

_LETTERS = "d" * 250


def in_the_way(alice: Account, bob: Account) -> dict[str, Any]:
    """What is found of carol before anything is in her way, with all of it, and of a database of hers that is gone;
    whether anything but what was looked for is written."""
    carol = _customer("carol", 1502)
    for argv in (["groupadd", "-g", "1502", "carol"], ["useradd", "-u", "1502", "-g", "1502", "-M", "carol"]):
        subprocess.run(argv, check=True)
    home = Path(carol.home)
    home.mkdir(parents=True)
    os.chown(home, 1502, 1502)
    put_state("carol", State("serving", epoch=1))
    psql("carol", "carol", "CREATE TABLE t (n int)")
    sql.queries(["CREATE TABLE carol.t (n int PRIMARY KEY)"])
    found: dict[str, Any] = {"nothing": _look()}

    _make_deep(home)
    postgres_sql.execute(["CREATE TABLE public.audit ()"], "carol")
    postgres_sql.execute(["CREATE ROLE eve"])
    sql.queries(
        [
            "CREATE TABLE bob.p (n int PRIMARY KEY)",
            "CREATE TABLE carol.f (n int, FOREIGN KEY (n) REFERENCES bob.p (n))",
            "CREATE TABLE carol.h (n int, s BIGINT UNSIGNED GENERATED ALWAYS AS ROW START INVISIBLE,"
            " e BIGINT UNSIGNED GENERATED ALWAYS AS ROW END INVISIBLE, PERIOD FOR SYSTEM_TIME (s, e))"
            " ENGINE = InnoDB WITH SYSTEM VERSIONING",
            "CREATE USER eve@localhost IDENTIFIED BY 'x'",
            "GRANT INSERT ON carol.t TO eve@localhost",
        ]
    )
    before = _everything()
    found["all"] = _look()
    found["the same afterwards"] = _everything() == before
    postgres_sql.execute(["GRANT carol TO eve"])
    found["a member"] = _look("postgresql")
    sql.queries(["DROP TABLE carol.f", "DROP DATABASE carol"])
    found["gone"] = _look("mariadb")
    return found


def _look(*stores: str) -> dict[str, Any]:
    wanted = Obstacles(account="carol", stores=[*stores] or ["files", "postgresql", "mariadb"])
    return plain(obstacles.obstacles(wanted, lambda **_: None))


def _make_deep(home: Path) -> None:
    """Directories in one another, whose path is longer than the system's own tools take; a file lies at the end."""
    at = os.open(home, os.O_DIRECTORY)
    for _ in range(17):
        os.mkdir(_LETTERS, dir_fd=at)
        below = os.open(_LETTERS, os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("last", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)


def _everything() -> list[Any]:
    """The roles, users, databases and rights of both engines."""
    return [
        postgres_sql.query("SELECT jsonb_agg(r ORDER BY oid) FROM pg_authid r;"),
        postgres_sql.query("SELECT jsonb_agg(d ORDER BY oid) FROM (SELECT oid, datname, datacl FROM pg_database) d;"),
        sql.queries(["SELECT HEX(User), HEX(Host), HEX(Priv) FROM mysql.global_priv ORDER BY 1, 2"]),
    ]
