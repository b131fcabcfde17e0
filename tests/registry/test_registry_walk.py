"""Random walks over the public functions: whatever is called in whatever order, what must hold holds."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from include import registry
from include.registry import RegistryRefused, states
from tests.registry import host

SERVERS = st.sampled_from(["vps-1", "vps-2", "transit-1"])
ACCOUNTS = st.sampled_from(["a1-1", "a2-1", "late"])
NUMBER = st.sampled_from([1, 2])
STEPS = st.sampled_from(states.MIGRATION.path)


class Walk(RuleBasedStateMachine):
    """Two originals with an account each share one transit."""

    databases: Iterator[str] = iter(())
    steps = 0  # how far the first migration has come when a walk begins

    def __init__(self) -> None:
        super().__init__()
        self.conn = psycopg.connect(next(type(self).databases))
        host.add_host(self.conn, originals=2, transits=1, accounts=1)
        self.epochs: dict[str, int] = {}
        self.routes: set[str] = {ip.address for n in "12" for ip in registry.ips_of(self.conn, f"vps-{n}")}
        self.seen = 0
        registry.begin_migration(self.conn, "vps-1", "2026", "first", "ops", host.UNTESTED)
        for _ in range(self.steps):
            self.next_step(registry.certain(self.live(1)))

    def teardown(self) -> None:
        self.conn.close()

    def live(self, n: int) -> int | None:
        found = registry.migration_of(self.conn, f"vps-{n}")
        return found.id if found else None

    @rule(n=NUMBER, call=st.sampled_from(["request", "assign", "hand_over", "left", "wiped", "return"]))
    def transit(self, n: int, call: str) -> None:
        functions: dict[str, Callable[[psycopg.Connection, int], object]] = {
            "request": registry.request_transit,
            "assign": registry.assign_transit,
            "hand_over": registry.hand_over,
            "left": registry.last_account_left,
            "wiped": registry.transit_wiped,
            "return": registry.return_transit,
        }
        found = [m for m in registry.list_migrations(self.conn) if m.server == f"vps-{n}"]
        if found:
            with suppress(RegistryRefused):
                functions[call](self.conn, found[-1].id)

    @rule(n=NUMBER, again=st.booleans())
    def begin(self, n: int, again: bool) -> None:
        count = len(registry.list_migrations(self.conn))
        with suppress(RegistryRefused):
            registry.begin_migration(
                self.conn, f"vps-{n}", "2026", f"{n}-{count if again else 0}", "ops", host.UNTESTED
            )

    @rule(n=NUMBER)
    def cancel(self, n: int) -> None:
        if id := self.live(n):
            with suppress(RegistryRefused):
                registry.cancel_migration(self.conn, id, "why not", "customer")

    @rule(n=NUMBER, to=STEPS)
    def advance(self, n: int, to: str) -> None:
        if id := self.live(n):
            with suppress(RegistryRefused):
                registry.advance(self.conn, id, to)

    @rule(n=NUMBER, steps=st.integers(1, 3))
    def go_on(self, n: int, steps: int) -> None:
        """What a DAG would do next."""
        for _ in range(steps):
            with suppress(RegistryRefused):
                if id := self.live(n):
                    self.next_step(id)

    def next_step(self, id: int) -> None:
        conn, migration = self.conn, registry.migration(self.conn, id)
        server, transit = migration.server, migration.transit
        following = states.MIGRATION.path[states.MIGRATION.path.index(migration.state) + 1]
        match migration.state:
            case "checking":
                registry.request_transit(conn, id)
            case "waiting_for_transit":
                registry.assign_transit(conn, id)
            case "installing_transit":
                registry.enrol_server(conn, registry.certain(transit), "2026", host.KEY, {})
                registry.hand_over(conn, id)
            case "handed_over" | "reinstalled" as state:
                to = registry.certain(transit) if state == "handed_over" else server
                for name in registry.accounts_not_on(conn, id, to):
                    self.move(name, to)
                registry.advance(conn, id, following)
            case "accounts_moved" | "accounts_home" as state:
                to = registry.certain(transit) if state == "accounts_moved" else server
                for ip in registry.ips_of(conn, server):
                    registry.ip_routed(conn, ip.address, to)
                registry.advance(conn, id, following)
            case "reinstalling":
                registry.may_reinstall(conn, id)
                registry.enrol_server(conn, server, "2026", host.KEY, {})
                registry.advance(conn, id, following)
            case "home":
                registry.may_wipe(conn, id)
                registry.transit_wiped(conn, id)
                registry.return_transit(conn, id)
                registry.advance(conn, id, following)
            case _:
                registry.advance(conn, id, following)

    def move(self, account: str, to: str) -> None:
        move = registry.live_move_of(self.conn, account)
        run = f"{account}-{registry.account(self.conn, account).epoch}-{to}"
        move = move or registry.begin_move(self.conn, account, to, run, "customer")
        for state in ("copying", "switching", "committed", "done"):
            registry.advance_move(self.conn, move.id, state)

    @rule(server=SERVERS)
    def enrol(self, server: str) -> None:
        with suppress(RegistryRefused):
            registry.enrol_server(self.conn, server, "2026", host.KEY, {})

    @rule(account=ACCOUNTS, to=SERVERS)
    def perform(self, account: str, to: str) -> None:
        with suppress(RegistryRefused):
            self.move(account, to)

    @rule(account=ACCOUNTS, to=SERVERS, end=st.sampled_from(["copying", "returned", "committed"]))
    def begin_or_end_a_move(self, account: str, to: str, end: str) -> None:
        with suppress(RegistryRefused):
            move = registry.live_move_of(self.conn, account)
            move = move or registry.begin_move(self.conn, account, to, f"run-{account}-{to}", "customer")
            registry.advance_move(self.conn, move.id, end)

    @rule(server=SERVERS)
    def create_account(self, server: str) -> None:
        with suppress(RegistryRefused):
            registry.add_account(self.conn, "late", server, [])

    @rule(n=NUMBER, to=SERVERS)
    def route(self, n: int, to: str) -> None:
        for ip in registry.ips_of(self.conn, f"vps-{n}"):
            with suppress(RegistryRefused):
                registry.ip_routed(self.conn, ip.address, to)

    @invariant()
    def what_must_hold(self) -> None:
        servers = {server.name: server for server in registry.list_servers(self.conn)}
        accounts = [a for name in servers for a in registry.accounts_of(self.conn, name)]
        migrations = registry.list_migrations(self.conn)
        for account in accounts:
            on = servers[account.server]
            assert on.state in ("serving", "handed_over"), "an account lives on a server that cannot serve it"
            assert account.epoch >= self.epochs.get(account.name, 0)
            self.epochs[account.name] = account.epoch
            if on.kind == "transit":
                lent = [m for m in migrations if m.transit == on.name and m.state not in states.GIVEN_UP]
                assert account.home_server == lent[-1].server, "another customer's account on a transit"
        users = [
            m
            for m in migrations
            if m.transit and registry.certain(registry.request_of(self.conn, m.id)).state == "assigned"
        ]
        assert len(users) <= 1, "one transit, two users"
        assert (servers["transit-1"].state == "free") == (not users)
        for migration in migrations:
            moves = registry.moves_of(self.conn, migration.id)
            assert sum(move.state not in ("done", "returned") for move in moves) <= 1
            if migration.state in states.GIVEN_UP:
                assert not any(move.committed_at for move in moves)
        routed = [ip for name in servers for ip in registry.ips_of(self.conn, name)]
        assert {ip.address for ip in routed} == self.routes
        assert all(servers[ip.routed_to].state in ("serving", "handed_over") for ip in routed)
        events = len(registry.list_events(self.conn))
        assert events >= self.seen
        self.seen = events


@pytest.mark.parametrize("steps", [0, 3, 4, 7, 9, 11])
def test_walks(postgresql: str, steps: int) -> None:
    def databases() -> Iterator[str]:
        for n in itertools.count(1):
            with psycopg.connect(f"{postgresql} dbname=postgres", autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE walk{steps}_{n} TEMPLATE template")
            yield f"{postgresql} dbname=walk{steps}_{n}"

    class From(Walk):
        """A walk that begins here."""

    From.databases, From.steps = databases(), steps
    run_state_machine_as_test(
        From,
        settings=settings(
            max_examples=3,
            stateful_step_count=25,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
