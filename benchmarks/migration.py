"""A whole `migrate_server` of a VPS with ten small accounts through real Airflow, and all that was seen of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg

from benchmarks import stage, visitors
from benchmarks.accounts import Sizes, fill
from benchmarks.processes import Ran, Recorder
from include import registry
from include.agent import verbs
from include.agent.host.codec import plain
from include.moves.enrol import enrol
from include.moves.servers import without_secrets
from include.registry.schema import upgrade
from lab import airflow, names, postgres, state
from lab.accounts import Filled
from lab.accounts.certificates import authority
from lab.demo.run import moment, reason
from lab.say import LabError
from lab.topology import RESOLVER, Server

ACCOUNTS = 10
MEGABYTES = 3
REGISTRY, AIRFLOW = "bench_registry", "bench_airflow"
"""Databases of the benchmark, beside the lab's own."""
PLAN, ENTRY, CUSTOMER = "bench", "infrastructure-2026", "the benchmark's customer"
TTL = 60
"""Seconds, of every name before the migration lowers it."""
RATE = 1.0
"""Requests a second, of each account by each of the two visitors."""
TIMEOUT = 1800.0


@dataclass
class Whole:
    """What was seen of the migration. Times are Unix seconds."""

    begin: float
    end: float
    ran: list[Ran]
    tasks: list[dict[str, Any]]
    holds: list[tuple[str, float, float]]
    """The account and direction, and from when to when it was held."""
    resolving: list[visitors.Event] = field(default_factory=list)
    sticking: list[visitors.Event] = field(default_factory=list)
    writes_lost: int = 0


_seen: list[Whole] = []
"""Two tables tell of the same migration."""


def whole(progress: Callable[[str], None]) -> Whole:
    """The migration, run once whichever table asks first."""
    if not _seen:
        with stage.lab() as at_home, stage.claimed(2) as (original, transit):
            _seen.append(_Migration(at_home, original, transit, progress).run())
    return _seen[0]


class _Migration:
    def __init__(
        self,
        at_home: Callable[..., Any],
        original: Server,
        transit: Server,
        progress: Callable[[str], None],
    ) -> None:
        self.at_home, self.original, self.transit, self.progress = at_home, original, transit, progress
        self.run_id = f"bench-{original.name}-{int(time.time())}"

    def run(self) -> Whole:
        """From nothing to the end, with visitors all the while; nothing of it stays."""
        with self._airflow(), self._registry() as conn:
            self.progress(f"{self.original.name} is installed and {ACCOUNTS} accounts are filled")
            machine = self._enrolled(conn)
            with ThreadPoolExecutor(4) as pool:
                works = [pool.submit(fill, machine, *self._size(number)) for number in range(ACCOUNTS)]
                filled = [work.result() for work in works]
            with self._names(conn, machine, filled):
                for account in filled:
                    airflow.connect_account(account.account, account.look, account.connections)
                return self._migrated(conn, filled)

    def _size(self, number: int) -> tuple[str, int, Sizes]:
        return f"small{number}", 2600 + number, Sizes.thirds(MEGABYTES)

    @contextmanager
    def _airflow(self) -> Iterator[None]:
        """An Airflow with databases of its own, in place of the lab's, which runs again afterwards if it did."""
        ran_before = all(state.alive(name) for name in airflow.PROGRAMS)
        self.progress("Airflow starts")
        airflow.stop()
        usual = airflow.environment
        own = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url(AIRFLOW).replace(f"//{AIRFLOW}@", "//airflow@")}
        airflow.environment = lambda *args: usual(*args) | own
        try:
            with _database(AIRFLOW, "airflow"):
                try:
                    self.at_home(airflow.up)
                    connections = {each["connection_id"]: each for each in airflow.lab_connections()}
                    airflow.connect({**connections["registry"], "schema": REGISTRY})
                    yield
                finally:
                    airflow.stop()
        finally:
            airflow.environment = usual
            if ran_before:
                self.at_home(airflow.up)

    @contextmanager
    def _registry(self) -> Iterator[psycopg.Connection]:
        dsn = postgres.dsn(REGISTRY, "registry")
        with _database(REGISTRY, "registry"):
            upgrade(dsn)
            with psycopg.connect(dsn, autocommit=True) as conn:
                registry.add_plan(conn, PLAN, Decimal("29.90"), "CHF", 2, 4 << 30, 80 << 30)
                for server, kind, infrastructure, customer in (
                    (self.original, "vps", "2022", CUSTOMER),
                    (self.transit, "transit", "2026", None),
                ):
                    addresses = (server.spec.management_address, server.spec.lan_address, server.spec.lan_address6)
                    registry.add_server(conn, server.name, kind, PLAN, infrastructure, customer, *addresses)
                    for ip in server.ips:
                        registry.add_ip(conn, ip, server.name)
                registry.sync_catalogue(
                    conn, [registry.Entry(ENTRY, "A new infrastructure", "infrastructure", "2022", "2026")]
                )
                yield conn

    def _enrolled(self, conn: psycopg.Connection) -> stage.Machine:
        machine = stage.installed(self.original, "2022")
        registry.enrol_server(conn, machine.name, "2022", machine.host_key, {})
        enrol(conn, machine.name, "2022", machine.agent)
        return machine

    @contextmanager
    def _names(self, conn: psycopg.Connection, machine: stage.Machine, filled: list[Filled]) -> Iterator[None]:
        """The registry and the host's DNS know the accounts' names while this lasts."""
        description = without_secrets(machine.agent.call(verbs.Describe()))
        registry.record_description(conn, machine.name, plain(description))
        registry.sync_accounts(conn, machine.name, description.accounts)
        zone = names.client()
        pointed = []
        try:
            for account in filled:
                for fqdn, kind, value, _ in account.names(*machine.ips):
                    registry.add_name(conn, fqdn, kind, account.account, value, TTL)
                    zone.point(fqdn, kind, zone.current(fqdn, kind), value, TTL)
                    pointed.append((fqdn, kind))
            yield
        finally:
            for fqdn, kind in pointed:
                zone.point(fqdn, kind, zone.current(fqdn, kind), None, 5)

    def _migrated(self, conn: psycopg.Connection, filled: list[Filled]) -> Whole:
        sites = [word for account in filled for word in ("--site", f"{account.account}={account.domains[0]}")]
        web = ["--ca", str(authority()), "--rate", str(RATE), *sites]
        addresses = [word for ip in self.original.ips for word in ("--address", ip)]
        with ExitStack() as stack:
            resolving = stack.enter_context(visitors.probe("web", *web, "--name", "resolving", "--resolver", RESOLVER))
            sticking = stack.enter_context(visitors.probe("web", *web, "--name", "sticking", *addresses))
            recorder = self.at_home(Recorder, kind_of)
            time.sleep(2)
            with recorder:
                begin = time.time()
                self._perform(conn, [account.account for account in filled])
                end = time.time()
            time.sleep(2)
        gone = 0
        for account in filled:
            wrote = {
                e["id"] for e in (*resolving, *sticking) if e["account"] == account.account and e["kind"] == "write"
            }
            wrote &= visitors.acknowledged([*resolving, *sticking])
            gone += len(visitors.lost(wrote, account.domains[0], self.original.ips[0]))
        migration = next(migration for migration in registry.list_migrations(conn) if migration.run_id == self.run_id)
        holds = []
        for move in registry.moves_of(conn, migration.id):
            switched = move.figures.switch
            if switched.held_at is not None:
                held = (switched.held_at, switched.held_at + (switched.held_ms or 0) / 1000)
                holds.append((f"{move.account} {move.direction}", *held))
        tasks = airflow.tasks("migrate_server", self.run_id)
        return Whole(begin, end, recorder.ran, tasks, holds, resolving, sticking, gone)

    def _perform(self, conn: psycopg.Connection, accounts: list[str]) -> None:
        """Starts the migration, and each account's move as the customer would: at once, one after the other."""
        self.progress(f"migrate_server begins: run {self.run_id}")
        by = "the benchmark"
        conf = {"server": self.original.name, "entry": ENTRY, "lift_gate_because": by, "requested_by": by}
        airflow.trigger("migrate_server", self.run_id, conf)
        until = time.monotonic() + TIMEOUT
        self._await("migrate_server", self.run_id, until, lambda: self._state(conn) == "handed_over")
        for account in accounts:
            run_id = f"{self.run_id}-{account}"
            conf = {"account": account, "to_server": self.transit.name, "requested_by": CUSTOMER}
            airflow.trigger("move_account", run_id, conf)
            self._await("move_account", run_id, until)
            self.progress(f"{account} is on {self.transit.name}")
        self._await("migrate_server", self.run_id, until)

    def _state(self, conn: psycopg.Connection) -> str | None:
        return next(
            (migration.state for migration in registry.list_migrations(conn) if migration.run_id == self.run_id), None
        )

    def _await(self, dag_id: str, run_id: str, until: float, reached: Callable[[], bool] = lambda: False) -> None:
        while not reached():
            now = airflow.run(dag_id, run_id)["state"]
            if now == "success":
                return
            if now == "failed":
                raise LabError(f"The run {run_id} of {dag_id} failed: {reason(dag_id, run_id)}")
            if time.monotonic() > until:
                raise LabError(f"The run {run_id} of {dag_id} has not ended within {TIMEOUT:g} s.")
            time.sleep(0.2)


@contextmanager
def _database(name: str, owner: str) -> Iterator[None]:
    """An empty database in the lab's PostgreSQL while this lasts."""
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    postgres.psql("postgres", drop)
    postgres.psql("postgres", f"CREATE DATABASE {name} OWNER {owner}")
    try:
        yield
    finally:
        postgres.psql("postgres", drop)


def kind_of(words: list[str]) -> str | None:
    """Which programs are work on the servers: verbs of the agents, and the making of servers.

    A peer's process and a tunnel wait for the other side's verb, whose time is counted.
    """
    program, verb = (*words[1:3], "", "")[:2]
    if program.endswith("/transhumance/launcher") or (program.endswith("/agent.pyz") and verb in ("serve", "run")):
        return "agent"
    if words and words[0].rpartition("/")[2].startswith("lxc-"):
        return "machines"
    return None


def waits(tasks: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """When the migration waited for TTLs to pass."""
    tasks_of_names = [task for task in tasks if task["task_id"].startswith("wait_until_names")]
    return [
        (moment(task["start_date"]).timestamp(), moment(task["end_date"]).timestamp())
        for task in tasks_of_names
        if task["start_date"] and task["end_date"]
    ]
