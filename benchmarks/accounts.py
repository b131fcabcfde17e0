"""Accounts for benchmarks: so many megabytes, a third each of files, PostgreSQL and MariaDB, made on the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from include.agent import verbs
from include.hosts import Host
from lab.accounts.certificates import put_certificates
from lab.accounts.filling import Filled, Server, account_file, new_password

SITE = Path(__file__).parent / "site"
PAGES = ("index.html", "visit.php")
MEGABYTE = 10**6
TABLES = 4
BYTES_PER_FILE = 13_300
"""4 GB, a third of it files, are 100,000 files."""
BYTES_PER_ROW = {"postgresql": 420, "mariadb": 403}
"""With the indexes, as the servers tell the size of such a database."""
POSTGRESQL_TABLE = """
CREATE TABLE item_{t} (id bigint PRIMARY KEY, customer integer NOT NULL, created timestamptz NOT NULL,
  price numeric(10, 2) NOT NULL, title text NOT NULL, body text);
INSERT INTO item_{t} SELECT n, n::bigint * 7919 % 100003, timestamptz '2022-01-01 UTC' + n * interval '1 minute',
  n % 10007 / 100.0, 'item ' || n, repeat(md5((n + {t})::text) || ' is what it said. ', 5)
  FROM generate_series(1, {rows}) n;
CREATE INDEX ON item_{t} (customer);
CREATE INDEX ON item_{t} (created);
"""
MARIADB_TABLE = """
CREATE TABLE item_{t} (id BIGINT PRIMARY KEY, customer INT NOT NULL, created DATETIME NOT NULL,
  price DECIMAL(10, 2) NOT NULL, title VARCHAR(80) NOT NULL, body TEXT);
INSERT INTO item_{t} SELECT seq, seq * 7919 % 100003, '2022-01-01' + INTERVAL seq MINUTE, seq % 10007 / 100.0,
  CONCAT('item ', seq), REPEAT(CONCAT(MD5(seq + {t}), ' is what it said. '), 5) FROM seq_1_to_{rows};
ALTER TABLE item_{t} ADD INDEX (customer), ADD INDEX (created);
"""
POSTGRESQL_VISIT = "CREATE TABLE visit (id text PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());"
MARIADB_VISIT = "CREATE TABLE visit (id VARCHAR(80) PRIMARY KEY, at TIMESTAMP(6) NOT NULL DEFAULT NOW(6));"


@dataclass(frozen=True)
class Sizes:
    """How much of each, in bytes; 0 leaves a store out."""

    files: int
    postgresql: int
    mariadb: int
    count: int
    """Files."""

    @classmethod
    def thirds(cls, megabytes: int) -> Sizes:
        """An account of so many megabytes in all."""
        third = megabytes * MEGABYTE // 3
        return cls(third, third, third, max(1, third // BYTES_PER_FILE))


class Place(Protocol):
    """A server to fill an account on: `Machine`."""

    @property
    def agent(self) -> Host: ...

    def root(self, argv: Sequence[str], stdin: bytes | None = None) -> bytes: ...


def fill(machine: Place, name: str, uid: int, sizes: Sizes) -> Filled:
    """Creates and fills an account whose site writes and reads all its stores."""
    databases = [name] if sizes.postgresql else []
    mariadb = {"users": [{"user": name, "host": "%"}], "databases": [name]}
    statement = account_file(
        name,
        uid,
        postgresql={"roles": databases, "databases": databases},
        mariadb=mariadb if sizes.mariadb else None,
    )
    password = new_password()

    def execute(argv: list[str], input: bytes | None = None) -> bytes:
        return machine.root(argv, input)

    server = Server(execute, lambda made: machine.agent.call(verbs.Create(account_file=made)))
    put_certificates(server, statement)
    server.create(statement)
    settings = f"<?php\nreturn ['name' => '{name}', 'password' => '{password}'];\n"
    server.write_as(name, f"/home/{name}", {"settings.php": settings}, mode=0o600)
    server.write_as(name, f"/home/{name}/public_html", {page: (SITE / page).read_bytes() for page in PAGES})
    if sizes.files:
        script = (SITE / "files.py").read_bytes()
        server.run_as(name, "python3", "-", str(sizes.count), str(sizes.files), input=script)
    if sizes.postgresql:
        _postgresql(server, name, password, sizes.postgresql)
    if sizes.mariadb:
        _mariadb(server, name, password, sizes.mariadb)
    # What the fill has left to be written would slow down whatever is measured first.
    server.run("sync")
    return _with_connections(statement, password)


def _with_connections(statement: dict[str, Any], password: str) -> Filled:
    """How the account is looked at before and after a move: its page, and its databases as their own user."""
    name = statement["account"]
    filled = Filled(name, statement, {"urls": [f"https://{name}.example/"]})
    for kind, port, databases in (
        ("postgres", 5432, statement["postgresql"]["databases"]),
        ("mysql", 3306, statement["mariadb"]["databases"]),
    ):
        if databases:
            connection = f"account_{name}_{kind}"
            filled.look[f"{kind}_connection"] = connection
            fields = {"conn_id": connection, "conn_type": kind, "host": f"{name}.example", "port": port}
            filled.connections.append({**fields, "login": name, "password": password, "schema": name})
    return filled


def _postgresql(server: Server, name: str, password: str, size: int) -> None:
    psql = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]
    roles = f"CREATE ROLE {name} LOGIN PASSWORD '{password}';\nCREATE DATABASE {name} OWNER {name};\n"
    server.run_as("postgres", *psql, input=roles)
    rows = max(1, size // BYTES_PER_ROW["postgresql"] // TABLES)
    tables = "".join(POSTGRESQL_TABLE.format(t=t, rows=rows) for t in range(1, TABLES + 1))
    sql = f"SET ROLE {name};\nSET synchronous_commit = off;\n{POSTGRESQL_VISIT}\n{tables}\nANALYZE;\n"
    server.run_as("postgres", *psql, "-d", name, input=sql)
    server.run_as("postgres", *psql, input="CHECKPOINT;")


def _mariadb(server: Server, name: str, password: str, size: int) -> None:
    rows = max(1, size // BYTES_PER_ROW["mariadb"] // TABLES)
    tables = "".join(MARIADB_TABLE.format(t=t, rows=rows) for t in range(1, TABLES + 1))
    # The fill is no part of what a replica would follow.
    sql = f"""SET sql_log_bin = 0; CREATE DATABASE {name}; CREATE USER {name}@'%' IDENTIFIED BY '{password}';
GRANT ALL ON `{name}`.* TO {name}@'%'; USE {name}; {MARIADB_VISIT} {tables}"""
    server.run("mariadb", "--batch", input=sql)
