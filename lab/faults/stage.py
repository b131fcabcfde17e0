"""The servers that are broken, the registry that knows them, and accounts whose visitors never stop."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg

from include import catalogue, registry
from include.agent import verbs
from include.agent.host.codec import plain
from include.hosts import AgentError, Host, HostUnreachable
from include.moves.channel import without_secrets
from include.moves.enrol import enrol
from include.registry.schema import upgrade
from lab import postgres, servers, topology
from lab.accounts.filling import account_file
from lab.faults import disks
from lab.faults.orchestrator import DATABASE

PASSWORD = "secret"
CUSTOMER = "Alpine Herders"
PLAN = "VPS M"
INFRASTRUCTURE = "infrastructure-2026"
ENGINE = "postgresql-17"
REQUESTED_BY = "the faults"
REGISTRY_SECONDS = 60
_uids = itertools.count(3001)
PAGE = """<?php
if (isset($_POST["n"])) {{
    $n = (int) $_POST["n"];
    $login = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION];
    foreach (["pgsql", "mysql"] as $engine) {{
        $database = new PDO("$engine:host=127.0.0.1;dbname={name}", "{name}", "{password}", $login);
        $database->prepare("INSERT INTO visits VALUES (?)")->execute([$n]);
    }}
    if (file_put_contents(dirname(__DIR__) . "/visits", "$n\\n", FILE_APPEND | LOCK_EX) === false) {{
        http_response_code(507);
    }}
}}
echo gethostname(), "\\n<title>{name}</title>";
"""


@dataclass
class Pair:
    """Two servers that accounts move between in one kind of move."""

    kind: str
    """out and home (one pair for both), over, or engine."""
    source: str
    target: str
    migration: int | None = None
    accounts: list[str] = field(default_factory=list)
    """Those that can still be moved, on the source of the next move."""

    @property
    def names(self) -> tuple[str, str]:
        return self.source, self.target


KINDS = {
    "vps": (("vps", "2022"), ("transit", "2026")),
    "over": (("shared", "2022"), ("shared", "2026")),
    "engine": (("shared", "2022"), ("database", "2026")),
}
"""What the two servers of a pair are, and what they run."""


def connection() -> psycopg.Connection:
    """The registry of these runs; each statement is a transaction of its own. Where another pair's fault keeps it away,
    it is waited for."""
    until = time.monotonic() + REGISTRY_SECONDS
    while True:
        try:
            return psycopg.connect(postgres.dsn(DATABASE), autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def write_registry() -> None:
    """The schema, a plan, the catalogue."""
    upgrade(postgres.dsn(DATABASE))
    with connection() as conn:
        registry.add_plan(conn, PLAN, Decimal("29.90"), "CHF", 2, 4 << 30, 80 << 30)
        registry.sync_catalogue(conn, catalogue.load().values())


def host(name: str) -> Host:
    """A server's agent; to be called in the operators' namespace."""
    from lab import state

    with connection() as conn:
        key = registry.certain(registry.server(conn, name).host_key)
    return Host.connect(topology.server(name).spec.management_address, str(state.key("ops")), key)


def make_pair(kind: str, source: str, target: str) -> Pair:
    """Two servers, installed and enrolled."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_make_server, (source, target), KINDS[kind]))
    return Pair(kind, source, target)


def _make_server(name: str, role: tuple[str, str]) -> None:
    kind, infrastructure = role
    server = topology.server(name)
    customer = CUSTOMER if kind == "vps" else None
    with connection() as conn:
        spec = server.spec
        addresses = (spec.management_address, spec.lan_address, spec.lan_address6)
        registry.add_server(conn, name, kind, PLAN, infrastructure, customer, *addresses)
        for ip in server.ips:
            registry.add_ip(conn, ip, name)
    install(name, infrastructure)


def install(name: str, infrastructure: str) -> None:
    """The server laid out anew with this infrastructure, and its agent on it."""
    installed = servers.machines().reinstall(topology.server(name).spec, infrastructure)
    disks.give(name)
    with connection() as conn:
        registry.enrol_server(conn, name, infrastructure, installed.host_key, {})
        enrol(conn, name, infrastructure, host(name))


def record(server: str) -> None:
    """What the registry knows of a server, as the hourly check records it; unchanged where the server is silent."""
    try:
        description = without_secrets(host(server).call(verbs.Describe()))
    except (AgentError, HostUnreachable):
        return
    with connection() as conn:
        registry.record_description(conn, server, plain(description))


def root(server: str, *argv: str, stdin: str = "", check: bool = True) -> str:
    """What a program prints as root on a server."""
    done = servers.machines().execute(server, list(argv), stdin=stdin.encode(), seconds=120)
    if check and done.returncode:
        raise AssertionError(f"{argv} on {server} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return done.stdout.decode(errors="replace")


def create_accounts(pair: Pair, number: int) -> None:
    """So many more accounts on the pair's source, which the registry knows."""
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: _create(pair), range(number)))
    agent = host(pair.source)
    with connection() as conn:
        description = without_secrets(agent.call(verbs.Describe()))
        registry.record_description(conn, pair.source, plain(description))
        registry.sync_accounts(conn, pair.source, description.accounts)
    pair.accounts += made


def _create(pair: Pair) -> str:
    uid = next(_uids)
    name = f"herd{uid}"
    databases: dict[str, Any] = {"postgresql": {"roles": [name], "databases": [name]}}
    databases["mariadb"] = {"users": [{"user": name, "host": "localhost"}], "databases": [name]}
    table = "CREATE TABLE visits (n integer);"
    psql = ("runuser", "-u", "postgres", "--", "psql", "-Xq", "-v", "ON_ERROR_STOP=1")
    role = f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}';"
    root(pair.source, *psql, stdin=f"{role}\nCREATE DATABASE {name} OWNER {name};")
    root(pair.source, *psql, "-d", name, stdin=f"SET ROLE {name}; {table}")
    mariadb = f"CREATE DATABASE {name}; CREATE USER {name}@localhost IDENTIFIED BY '{PASSWORD}';"
    mariadb += f" GRANT ALL ON {name}.* TO {name}@localhost; USE {name}; {table}"
    root(pair.source, "mariadb", stdin=mariadb)
    host(pair.source).call(verbs.Create(account_file=account_file(name, uid, **databases)))
    page = PAGE.format(name=name, password=PASSWORD)
    fill = f"mkdir -p /home/{name}/public_html && cat > /home/{name}/public_html/index.php && touch /home/{name}/visits"
    root(pair.source, "runuser", "-u", name, "--", "sh", "-c", fill, stdin=page)
    return name


def hand_over(pair: Pair) -> None:
    """The pair's transit is its original's: the migration is put there, as the whole path has tests of its own."""
    with connection() as conn:
        begun = registry.begin_migration(
            conn, pair.source, INFRASTRUCTURE, f"faults-{pair.source}", REQUESTED_BY, "no test is part of this"
        )
        pair.migration = begun.id
    _put(pair, "handed_over", f"UPDATE servers SET state = 'handed_over' WHERE name = '{pair.target}'")


def bring_home(pair: Pair, accounts: list[str]) -> None:
    """The original is installed with the new infrastructure, for real; the accounts may move home."""
    install(pair.source, KINDS["vps"][1][1])
    _put(pair, "reinstalled")
    pair.accounts = accounts


def _put(pair: Pair, state: str, *more: str) -> None:
    """The registry as it is after steps that are not broken here."""
    statements = [
        "SET session_replication_role = replica",
        f"UPDATE migrations SET state = '{state}', transit = '{pair.target}' WHERE id = {pair.migration}",
        *more,
    ]
    postgres.psql(DATABASE, "; ".join(statements))


def pairs_of(pairs: list[Pair], kind: str) -> Iterator[Pair]:
    """The pairs that a kind of move is tried on."""
    return (pair for pair in pairs if pair.kind == ("vps" if kind in ("out", "home") else kind))
