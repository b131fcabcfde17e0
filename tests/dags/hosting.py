"""A small host in memory: servers with agents that keep the contract's states, a router, names, machines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from include import registry
from include.hosts import AgentError, HostUnreachable
from tests.zone import Zone

RESULTS = {
    "copy": {
        "files": 3,
        "ways": [{"store": "postgresql", "database": "shop", "way": "follow", "why": "It has keys everywhere."}],
    },
    "switch": {"expected_ms": 280.0, "held_ms": 310.4, "steps": [], "verified": {"files": 3, "rows": 7, "equal": True}},
}
DEBIAN = {"2022": "12", "2026": "13"}


@dataclass
class FakeServer:
    """A server: its accounts by name, each {"state", "epoch", "move"}."""

    infrastructure: str
    host_key: str
    address: str
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    ips: set[str] = field(default_factory=set)
    pairs: set[str] = field(default_factory=set)


class FakeHost:
    """`include.hosts.Host` of a server of this host."""

    def __init__(self, hosting: Hosting, name: str) -> None:
        self.hosting, self.name = hosting, name

    def __enter__(self) -> FakeHost:
        return self

    def __exit__(self, *_: object) -> None: ...

    def push_agent(self) -> bool:
        return True

    def call(self, verb: str, /, **args: Any) -> dict[str, Any]:
        if self.name not in self.hosting.servers:
            raise HostUnreachable(f"{self.name} cannot be reached.")
        self.hosting.log.append((self.name, verb))
        return getattr(self, f"_{verb}")(self.hosting.servers[self.name], **args)

    def _describe(self, server: FakeServer) -> dict[str, Any]:
        debian = DEBIAN[server.infrastructure]
        return {
            "debian": debian,
            "infrastructure": server.infrastructure,
            "services_down": [],
            "versions": {"debian": debian, "rsync": "3.5.0"},
            "accounts": [
                {
                    "account": name,
                    "sites": [{"domain": f"{name}.example", "aliases": []}],
                    "account_file": {"account": name, "password_hash": "secret"},
                    **entry,
                }
                for name, entry in server.accounts.items()
            ],
        }

    def _prove_empty(self, server: FakeServer) -> dict[str, Any]:
        because = [
            f"The account {n} is {e['state']} here." for n, e in server.accounts.items() if e["state"] != "moved"
        ]
        return {"empty": not because, "because": because}

    def _drain_ips(self, server: FakeServer, ips: list[str], seconds: float) -> dict[str, Any]:
        assert set(ips) <= server.ips, "only the server that answers for an IP can let its connections end"
        return {"still_open": 0}

    def _reset_ips(self, server: FakeServer, ips: list[str]) -> dict[str, Any]:
        assert set(ips) <= server.ips, "only a server that had an IP has connections to it"
        return {"reset": 0}

    def _pair(self, server: FakeServer, move: str, account: str) -> dict[str, Any]:
        server.pairs.add(move)
        return {"public_key": f"ssh-ed25519 {account}"}

    def _receive(self, server: FakeServer, move: str, account: str, epoch: int, **_: Any) -> dict[str, Any]:
        there = server.accounts.get(account, {"epoch": 0, "state": "absent"})
        if there["state"] in ("serving", "held") or epoch < there["epoch"]:
            raise AgentError("stale_epoch", f"The account {account} is {there['state']} here; this move is over.")
        server.accounts[account] = {"state": "receiving", "epoch": epoch, "move": move}
        server.pairs.add(move)
        return {"host_keys": [server.host_key]}

    def _unpair(self, server: FakeServer, move: str) -> dict[str, Any]:
        server.pairs.discard(move)
        return {}

    def _return(self, server: FakeServer, account: str, move: str) -> dict[str, Any]:
        return {"state": server.accounts[account]["state"]}

    def _accept_ips(self, server: FakeServer, ips: list[str]) -> dict[str, Any]:
        server.ips |= set(ips)
        return {}

    def _drop_ips(self, server: FakeServer, ips: list[str]) -> dict[str, Any]:
        server.ips -= set(ips)
        return {}

    def _start(self, server: FakeServer, operation: str, verb: str, args: dict[str, Any]) -> dict[str, Any]:
        self.hosting.started.append(operation)
        self.hosting.args[verb] = args
        if verb in self.hosting.failing:
            code, message = self.hosting.failing[verb]
            server.operations[operation] = {"state": "failed", "error": {"code": code, "message": message}}
            return server.operations[operation]
        if verb == "switch":
            account = server.accounts[args["account"]]
            account.update(state="moved", move=args["move"], epoch=args["epoch"])
            target = next(s for s in self.hosting.servers.values() if s.address == args["peer"]["address"])
            target.accounts[args["account"]]["state"] = "serving"
        server.operations[operation] = {"state": "succeeded", "result": {"verb": verb, **RESULTS[verb]}}
        return server.operations[operation]

    def _status(self, server: FakeServer, operation: str) -> dict[str, Any]:
        return server.operations.get(operation, {"state": "unknown"})


@dataclass
class Hosting:
    """Everything outside Airflow and the registry, in memory."""

    conn: psycopg.Connection
    servers: dict[str, FakeServer] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=dict)
    names: Zone = field(default_factory=Zone)
    log: list[tuple[str, str]] = field(default_factory=list)
    args: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    failing: dict[str, tuple[str, str]] = field(default_factory=dict)
    looks: dict[str, Any] = field(default_factory=dict)

    def host(self, name: str, conn: psycopg.Connection | None = None) -> FakeHost:
        registry.server(self.conn, name)
        return FakeHost(self, name)

    # machines

    def install(self, server: registry.Server, infrastructure: str) -> SimpleNamespace:
        self.servers[server.name] = made(server.name, infrastructure, server.management_address)
        return SimpleNamespace(host_key=self.servers[server.name].host_key)

    reinstall = install

    def wipe(self, server: registry.Server) -> None:
        del self.servers[server.name]

    # routes

    def route(self, argv: list[str]) -> str:
        if "replace" in argv:
            ip, hop = argv[argv.index("replace") + 1].split("/")[0], argv[-1]
            there = next(s for s in registry.servers(self.conn) if hop in (s.lan_address, s.lan_address6))
            assert ip in self.servers[there.name].ips, "an IP was routed to a server that does not accept it"
            self.routes[argv[-3]] = hop
            return ""
        hop = self.routes.get(argv[-1])
        return json.dumps([{"gateway": hop}] if hop else [])

    @contextmanager
    def registry_connection(self) -> Iterator[psycopg.Connection]:
        yield self.conn

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Takes the place of `transhumance_airflow.connections` and of the look from outside."""
        from transhumance_airflow import connections

        monkeypatch.setattr(connections, "registry_connection", self.registry_connection)
        monkeypatch.setattr(connections, "host", self.host)
        monkeypatch.setattr(connections, "names", lambda: self.names)
        monkeypatch.setattr(connections, "router", lambda: self.route)
        monkeypatch.setattr(connections, "machines", lambda: (self, lambda server: server))


def made(name: str, infrastructure: str, address: str) -> FakeServer:
    """A fresh server; its host key tells its infrastructure."""
    key = f"ssh-ed25519 {infrastructure}{name.replace('-', '')}"
    return FakeServer(infrastructure, key, address)


def written(conn: psycopg.Connection) -> Hosting:
    """A host with one VPS of two accounts and one transit in the pool, as the registry knows it."""
    hosting = Hosting(conn)
    registry.add_plan(conn, "M", Decimal("20"), "EUR", 2, 1 << 30, 1 << 35)
    registry.add_server(conn, "vps-1", "vps", "M", "2022", "acme", "10.20.0.11", "10.30.0.11", "fd30::11")
    registry.add_server(conn, "transit-1", "transit", "M", "2022", None, "10.20.0.21", "10.30.0.21", "fd30::21")
    registry.add_server(conn, "web-1", "shared", "M", "2022", None, "10.20.0.31", "10.30.0.31", "fd30::31")
    entry = registry.Entry("infrastructure-2026", "Infrastructure 2026", "infrastructure", "2022", "2026")
    registry.sync_catalogue(conn, [entry])
    for name, number in (("vps-1", 11), ("transit-1", 21)):
        registry.add_ip(conn, f"198.51.100.{number}", name)
        registry.add_ip(conn, f"2001:db8:100::{number}", name)
    for name in ("vps-1", "web-1"):
        server = made(name, "2022", registry.server(conn, name).management_address)
        registry.enrol_server(conn, name, "2022", server.host_key, {})
        server.ips = {ip.address for ip in registry.ips_of(conn, name)}
        hosting.servers[name] = server
    for account in ("app", "blog"):
        hosting.servers["vps-1"].accounts[account] = {"state": "serving", "epoch": 1, "move": None}
        registry.add_account(conn, account, "vps-1", [f"{account}.example"])
        registry.add_name(conn, f"{account}.example", "A", account, "198.51.100.11", 3600)
        hosting.names.records[f"{account}.example", "A"] = ("198.51.100.11", 3600)
    return hosting
