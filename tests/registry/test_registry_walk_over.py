"""Random walks over tests and moves over: whatever is called in whatever order, what must hold holds."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from include import registry
from include.registry import RegistryRefused, states
from tests.registry import host

ACCOUNTS = st.sampled_from(["s1", "s2", "s3"])
ENTRIES = st.sampled_from(["2026", "postgresql-17"])
RUNS = st.integers(1, 3)
VERSIONS = {"2022": {"postgresql": "15.14"}, "2026": {"postgresql": "17.6"}}


class Walk(RuleBasedStateMachine):
    """Two old shared servers and a new one, a test server, a database server."""

    databases: Iterator[str] = iter(())

    def __init__(self) -> None:
        super().__init__()
        self.conn = psycopg.connect(next(type(self).databases))
        registry.add_plan(self.conn, "small", Decimal("1"), "EUR", 2, host.GB, host.GB)
        for n, (name, kind, version) in enumerate(
            [
                ("web-1", "shared", "2022"),
                ("web-2", "shared", "2022"),
                ("web-3", "shared", "2026"),
                ("test-1", "test", "2026"),
                ("db-1", "database", "2026"),
            ],
            30,
        ):
            host.add_server(self.conn, name, kind, n)
            registry.enrol_server(self.conn, name, version, f"{host.KEY}{n}", VERSIONS[version])
            registry.record_description(self.conn, name, host.DISK)
        registry.sync_catalogue(
            self.conn,
            [
                registry.Entry("2026", "A new Debian", "infrastructure", "2022", "2026"),
                registry.Entry("postgresql-17", "PostgreSQL 17", "postgresql", "15", "17"),
            ],
        )
        for account, server in (("s1", "web-1"), ("s2", "web-1"), ("s3", "web-2")):
            registry.add_account(self.conn, account, server, [])
        self.epochs: dict[str, set[int]] = {}
        self.newest: dict[str, int] = {}

    def teardown(self) -> None:
        self.conn.close()

    @rule(account=ACCOUNTS, entry=ENTRIES, run=RUNS)
    def begin_test(self, account: str, entry: str, run: int) -> None:
        with suppress(RegistryRefused):
            self.took(account, registry.begin_test(self.conn, account, entry, f"t-{account}-{entry}-{run}", "c").epoch)

    @rule(account=ACCOUNTS, run=RUNS)
    def replace(self, account: str, run: int) -> None:
        with suppress(RegistryRefused):
            registry.replace_test(self.conn, account, f"t-{account}-2026-{run}")

    @rule(account=ACCOUNTS, steps=st.integers(0, 3))
    def go_on_with_the_test(self, account: str, steps: int) -> None:
        """What a DAG would do next; without a step, it fails."""
        if test := registry.live_test_of(self.conn, account):
            at = states.TEST.path.index(test.state)
            for to in states.TEST.path[at + 1 : at + 1 + steps] if steps else ["removing"]:
                registry.advance_test(self.conn, test.id, to, expires_at=datetime.now(UTC) + timedelta(days=1))
                if to == "copying" and steps == 3:
                    registry.record_test_report(self.conn, test.id, {}, 0, 0)

    @rule(account=ACCOUNTS, blockers=st.integers(0, 1))
    def report(self, account: str, blockers: int) -> None:
        if test := registry.live_test_of(self.conn, account):
            with suppress(RegistryRefused):
                registry.record_test_report(self.conn, test.id, {}, blockers, 0)

    @rule(account=ACCOUNTS, entry=ENTRIES, run=RUNS, lifted=st.sampled_from([None, "a walk"]))
    def begin_over(self, account: str, entry: str, run: int, lifted: str | None) -> None:
        clear = [
            sentence for sentence in registry.untested(self.conn, self.home(account), entry) if account in sentence
        ]
        with suppress(RegistryRefused):
            known = {move.run_id for move in registry.moves_of_account(self.conn, account)}
            run_id = f"m-{account}-{entry}-{run}"
            move = registry.begin_over(self.conn, account, entry, run_id, "c", None, lifted)
            self.took(account, move.epoch)
            assert run_id in known or lifted or not clear, "past the gate"

    @rule(account=ACCOUNTS, steps=st.integers(0, 4))
    def go_on_with_the_move(self, account: str, steps: int) -> None:
        """What a DAG would do next; without a step, it fails."""
        if move := registry.live_move_of(self.conn, account):
            at = states.MOVE.path.index(move.state)
            with suppress(RegistryRefused):
                for to in states.MOVE.path[at + 1 : at + 1 + steps] if steps else ["returned"]:
                    registry.advance_move(self.conn, move.id, to)

    @rule(account=ACCOUNTS)
    def remove(self, account: str) -> None:
        if account == "s3":
            with suppress(RegistryRefused):
                registry.remove_account(self.conn, account, "a walk", "c")

    def home(self, account: str) -> str:
        return registry.account(self.conn, account).home_server

    def took(self, account: str, epoch: int) -> None:
        self.epochs.setdefault(account, set()).add(epoch)

    @invariant()
    def what_must_hold(self) -> None:
        servers = {server.name: server for server in registry.list_servers(self.conn)}
        busy: dict[str, int] = {}
        for name in ("s1", "s2", "s3"):
            account = registry.account(self.conn, name)
            assert servers[account.server].kind == "shared" and account.home_server == account.server
            assert account.epoch >= self.newest.get(name, 0)
            self.newest[name] = account.epoch
            moves, tests = registry.moves_of_account(self.conn, name), registry.tests_of(self.conn, name)
            live = [move for move in moves if move.state not in ("done", "returned")]
            at_work = [test for test in tests if test.state in ("preparing", "copying")]
            assert len(live) + len(at_work) <= 1, "copied twice at once"
            assert sum(test.state != "removed" for test in tests) <= 1
            newest = [move.epoch for move in moves] + [test.epoch for test in tests]
            assert len(newest) == len(set(newest)), "an epoch was given twice"
            for move in live:
                for server in (move.from_server, move.to_server):
                    busy[server] = busy.get(server, 0) + 1
            gone = [move for move in moves if move.committed_at]
            assert len({move.engine for move in gone}) == len(gone), "moved twice through one entry"
            if any(move.engine is None for move in gone):
                assert account.server == "web-3"
            engines = {} if account.removed_at else {move.engine: "db-1" for move in gone if move.engine}
            assert registry.engines_of(self.conn, name) == engines
        assert all(number <= registry.MAX_MOVES_PER_SERVER for number in busy.values())


@pytest.mark.parametrize("number", [1, 2, 3])
def test_walks_over(postgresql: str, number: int) -> None:
    def databases() -> Iterator[str]:
        for n in itertools.count(1):
            with psycopg.connect(f"{postgresql} dbname=postgres", autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE over{number}_{n} TEMPLATE template")
            yield f"{postgresql} dbname=over{number}_{n}"

    class From(Walk):
        """Walks of this test."""

    From.databases = databases()
    run_state_machine_as_test(
        From,
        settings=settings(
            max_examples=4,
            stateful_step_count=80,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
