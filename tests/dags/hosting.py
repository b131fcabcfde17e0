"""A small host in memory: servers with agents that keep the contract's states, a router, names, machines."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from include import catalogue, registry
from include.agent import verbs
from include.agent.host import codec
from include.agent.verbs.described import Description
from include.agent.verbs.verb import LongVerb, Result, Verb
from include.catalogue import infrastructures
from include.hosts import NO_AGENT, AgentError, Host, HostUnreachable, agent_digest
from include.hosts.host import ended
from include.moves.channel import without_secrets
from include.network.names import Names
from include.testing import reports
from include.testing.copies import Place
from tests.support.described import description
from tests.support.zone import Zone

TEST_DOMAIN = "test.example"
RESULTS: dict[str, dict[str, Any]] = {
    "copy": {
        "files": 3,
        "ways": [{"store": "postgresql", "database": "shop", "way": "follow", "why": "It has keys everywhere."}],
    },
    "duplicate": {
        "files": 3,
        "bytes": 2048,
        "seconds": 0.2,
        "stores": {},
        "left": [],
        "said": [],
        "waits": [],
        "missing": [],
    },
    "switch": {"expected_ms": 280.0, "held_ms": 310.4, "steps": [], "verified": {"files": 3, "rows": 7, "equal": True}},
}
VERSIONS = {
    name: {
        "debian": one.debian,
        "rsync": "3.5.0",
        **{program: f"{wanted}.9" for program, wanted in one.programs.items()},
    }
    for name, one in infrastructures.load().items()
}


@dataclass
class FakeServer:
    """A server: its accounts by name, each {"state", "epoch", "move"}; `domain` makes it a test server."""

    infrastructure: str
    host_key: str
    address: str
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    ips: set[str] = field(default_factory=set)
    pairs: set[str] = field(default_factory=set)
    domain: str | None = None
    on: bool = True
    queued: int = 0
    layout: str = "native"
    """As its agent says; a host's own is classic once it is prepared."""
    agent: str = "0" * 64
    """The digest of what it has, or NO_AGENT."""
    at_work: str | None = None
    """The operation that keeps its agent from being replaced."""
    readiness: dict[str, Any] | None = None
    sends_from: list[str] = field(default_factory=list)
    unclaimed: list[dict[str, str]] = field(default_factory=list)
    """What is no account's there."""
    unreadable: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    """Homes that are nobody's."""


class FakeHost:
    """`include.hosts.Host` of a server of this host."""

    def __init__(self, hosting: Hosting, name: str) -> None:
        self.hosting, self.name = hosting, name

    def __enter__(self) -> FakeHost:
        return self

    def __exit__(self, *_: object) -> None: ...

    def push_agent(self) -> bool:
        server = self._server()
        if server.agent == agent_digest():
            return False
        if server.at_work:
            raise AgentError("push_failed", f"The agent here is at work ({server.at_work}): try again later.")
        server.agent = agent_digest()
        return True

    def agent_digest(self) -> str:
        return self._server().agent

    def _server(self) -> FakeServer:
        if self.name not in self.hosting.servers or not self.hosting.servers[self.name].on:
            raise HostUnreachable(f"{self.name} cannot be reached.")
        return self.hosting.servers[self.name]

    def call(self, verb: Verb[Result], /, timeout: float = 300) -> Result:
        server = self._server()
        if server.agent == NO_AGENT:
            raise AgentError("no_answer", f"The agent gave no answer to {verb.name}.")
        self.hosting.log.append((self.name, verb.name))
        said = getattr(self, f"_{verb.name}")(server, **codec.plain(verb))
        # Of an account these say less than an agent does.
        return said if isinstance(verb, verbs.Describe) else codec.decode(verb.result, said)

    def _describe(self, server: FakeServer) -> Description:
        return description(
            debian=VERSIONS[server.infrastructure]["debian"],
            versions=VERSIONS[server.infrastructure],
            test_server=server.domain,
            accounts=[described(*one) for one in server.accounts.items() if "." not in one[0]],
            parts=[described(*one) for one in server.accounts.items() if "." in one[0]],
            unclaimed={"postgresql": [], "mariadb": [], "users": sorted(server.left)},
            unreadable=sorted(server.unreadable),
            agent_digest=server.agent,
            readiness=server.readiness and {"time": time.time(), **server.readiness},
            layout=server.layout,
        )

    def run(self, operation: str, verb: LongVerb[Result], /, timeout: float = 3600) -> Result:
        status = self.call(verbs.start(operation, verb))
        return ended(operation, type(verb), status)

    def _prove_empty(self, server: FakeServer, signed: Sequence[dict[str, str]] = ()) -> dict[str, Any]:
        because = [
            f"The account {n} is {e['state']} here." for n, e in server.accounts.items() if e["state"] != "moved"
        ]
        because += [
            one["sentence"] for one in server.unclaimed if {"kind": one["kind"], "name": one["name"]} not in signed
        ]
        because += [f"{server.queued} messages are in the mail queue."] if server.queued else []
        return {"empty": not because, "because": because, "unclaimed": server.unclaimed}

    def _drain_ips(self, server: FakeServer, ips: list[str], seconds: float) -> dict[str, Any]:
        assert set(ips) <= server.ips, "only the server that answers for an IP can let its connections end"
        return {"still_open": 0}

    def _reset_ips(self, server: FakeServer, ips: list[str]) -> dict[str, Any]:
        assert set(ips) <= server.ips, "only a server that had an IP has connections to it"
        return {"reset": 0}

    def _pair(self, server: FakeServer, move: str, account: str, epoch: int | None = None) -> dict[str, Any]:
        here = server.accounts[account]
        if epoch is not None and here["state"] == "serving" and (here["epoch"], here["move"]) != (epoch, move):
            if epoch <= here["epoch"]:
                raise AgentError("stale_epoch", f"The account {account} is at epoch {here['epoch']} here.")
            here.update(epoch=epoch, move=move)
        server.pairs.add(move)
        return {"public_key": f"ssh-ed25519 {account}"}

    def _receive(self, server: FakeServer, move: str, account: str, epoch: int, **args: Any) -> dict[str, Any]:
        self.hosting.args["receive"] = args
        account = f"{account}.{args['engine']}" if "engine" in args else account
        there = server.accounts.get(account, {"epoch": 0, "state": "absent"})
        if there["state"] in ("serving", "held", "test") or epoch < there["epoch"]:
            raise AgentError("stale_epoch", f"The account {account} is {there['state']} here; this move is over.")
        server.accounts[account] = {"state": "receiving", "epoch": epoch, "move": move}
        server.pairs.add(move)
        return {"host_keys": [server.host_key]}

    def _take_back(self, server: FakeServer, account: str, epoch: int, because: str) -> dict[str, Any]:
        there = server.accounts[account]
        if (there["state"], there["epoch"]) != ("serving", epoch):
            assert there["state"] == "moved" and epoch > there["epoch"] and because
            there.update(state="serving", epoch=epoch)
        return {"state": "serving", "epoch": epoch}

    def _lead_to(self, server: FakeServer, account: str, address: str) -> dict[str, Any]:
        assert server.accounts[account]["state"] == "moved"
        server.accounts[account]["to"] = address
        return {"state": "moved", "to": address}

    def _become_test_server(self, server: FakeServer, domain: str) -> dict[str, Any]:
        assert server.domain or not server.accounts, "a test server begins empty"
        server.domain = domain
        return {"test_server": domain}

    def _open_test(
        self, server: FakeServer, account: str, move: str, epoch: int, names: dict[str, str], stores: list[str]
    ) -> dict[str, Any]:
        there = server.accounts[account]
        assert server.domain, "a copy is opened on a test server only"
        if (there["move"], there["epoch"]) != (move, epoch) or there["state"] not in ("receiving", "test"):
            raise AgentError("wrong_move", f"The account {account} is {there['state']} here.")
        there.update(state="test", test={"names": names, "stores": stores})
        return {"state": "test", "epoch": epoch}

    def _remove(self, server: FakeServer, account: str, move: str) -> dict[str, Any]:
        there = server.accounts.get(account)
        if there is not None and (there["move"], there["state"]) not in ((move, "receiving"), (move, "test")):
            raise AgentError("wrong_state", f"The account {account} is {there['state']} here.")
        server.accounts.pop(account, None)
        return {}

    def _unpair(self, server: FakeServer, move: str, epoch: int | None = None) -> dict[str, Any]:
        if any(a["state"] == "moved" and a["move"] == move and not a["released"] for a in server.accounts.values()):
            raise AgentError("not_released", "It has left with this move and is not open on the other server yet.")
        server.pairs.discard(move)
        return {}

    def _return(self, server: FakeServer, account: str, move: str, epoch: int) -> dict[str, Any]:
        here = server.accounts[account]
        if here["state"] == "moved" and here["move"] == move:
            raise AgentError("committed", f"The account {account} has moved; from here it only goes forward.")
        if here["state"] in ("serving", "held") and here["epoch"] <= epoch:
            here.update(state="serving", epoch=epoch, move=None)
        return {"state": here["state"], "epoch": here["epoch"]}

    def _left(self, server: FakeServer, account: str, move: str, epoch: int, to: str) -> dict[str, Any]:
        here = server.accounts[account]
        if here["state"] in ("serving", "held") and here["epoch"] <= epoch:
            here.update(state="moved", move=move, epoch=epoch, to=to, released=True, since=time.time())
        return {"state": here["state"], "epoch": here["epoch"]}

    def _accept_ips(self, server: FakeServer, ips: list[str]) -> dict[str, Any]:
        server.ips |= set(ips)
        return {}

    def _adopt(self, server: FakeServer, account_file: dict[str, Any], epoch: int = 1) -> dict[str, Any]:
        there = server.accounts.setdefault(account_file["account"], {"state": "serving", "epoch": epoch, "move": None})
        return {"state": there["state"], "epoch": there["epoch"]}

    def _send_mail_from(self, server: FakeServer, ips: list[str]) -> dict[str, Any]:
        assert set(ips) <= server.ips, "an IP that mail is sent from is this server's"
        server.sends_from = ips
        return {}

    def _drop_ips(self, server: FakeServer, ips: list[str]) -> dict[str, Any]:
        server.ips -= set(ips)
        return {}

    def _run_hook(self, server: FakeServer, hook: str, about: dict[str, Any]) -> dict[str, Any]:
        self.hosting.hooked.append((self.name, hook, about))
        if line := self.hosting.hooks.get((self.name, hook)):
            raise AgentError("hook_refused", f'The host\'s hook /etc/transhumance/hooks/{hook} says: "{line}"')
        return {"ran": (self.name, hook) in self.hosting.hooks}

    def _start(self, server: FakeServer, operation: str, verb: str, args: dict[str, Any]) -> dict[str, Any]:
        self.hosting.started.append(operation)
        self.hosting.args[verb] = args
        if failing := self.hosting.failing.get(verb) or self.hosting.failing.get(f"{verb} {args.get('account')}"):
            code, message = failing
            ended = {"state": "failed", "error": {"code": code, "message": message}}
            server.operations[operation] = {"verb": verb, "args": args, **ended}
            return self._status(server, operation)
        if verb == "switch" and args["epoch"] < server.accounts[args["account"]]["epoch"]:
            raise AssertionError("the operation of an epoch that is over was started")
        if verb == "switch" and "engine" in args:
            there = {"move": args["move"], "to": args["peer"]["address"], "released": True, "since": time.time()}
            server.accounts[args["account"]].setdefault("engines", {})[args["engine"]] = there
            target = next(s for s in self.hosting.servers.values() if s.address == args["peer"]["address"])
            target.accounts[f"{args['account']}.{args['engine']}"]["state"] = "serving"
        elif verb == "switch":
            account = server.accounts[args["account"]]
            account.update(state="moved", move=args["move"], epoch=args["epoch"], released=True, since=time.time())
            target = next(s for s in self.hosting.servers.values() if s.address == args["peer"]["address"])
            target.accounts[args["account"]]["state"] = "serving"
        if verb in ("prepare", "unprepare"):
            server.layout = "classic" if verb == "prepare" else "native"
        if verb == "check":
            self.hosting.sides[self.name] = args["side"]
        told = {
            "obstacles": {"obstacles": self.hosting.obstacles.get(args.get("account", ""), []), "left": []},
            "inspect": {"unclaimed": server.unclaimed},
            "discover": self.hosting.inhabitants,
            "prepare": {"to_do": self.hosting.to_do},
            "unprepare": {},
        }
        result = self.hosting.checked(self.name) if verb == "check" else {**RESULTS, **told}[verb]
        done = {"state": "succeeded", "result": {"verb": verb, **result}}
        server.operations[operation] = {"verb": verb, "args": args, **done}
        return self._status(server, operation)

    def _status(self, server: FakeServer, operation: str) -> dict[str, Any]:
        unknown: dict[str, Any] = {"state": "unknown", "progress": {}, "result": None, "error": None, "seconds": 0.1}
        return unknown | server.operations.get(operation, {})


def described(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """What an agent says of an account, or of a part of one."""
    return {
        "account": name,
        "sites": [{"domain": f"{name}.example", "aliases": []}],
        "postgresql": {"databases": [{"name": name, "bytes": 1 << 20}]},
        "account_file": {
            "account": name,
            "sites": [{"domain": f"{name}.example", "aliases": []}],
            "postgresql": {"roles": [name], "databases": [name]},
            "mariadb": {"users": [], "databases": []},
            "mail": {"domains": [], "mailboxes": [{"address": "a@b", "password_hash": "secret"}]},
        },
        **entry,
    }


@dataclass
class Hosting:
    """Everything outside Airflow and the registry, in memory."""

    conn: psycopg.Connection
    servers: dict[str, FakeServer] = field(default_factory=dict)
    kept: dict[str, FakeServer] = field(default_factory=dict)
    """Disks that were put aside, by their labels."""
    routes: dict[str, str] = field(default_factory=dict)
    names: Zone = field(default_factory=Zone)
    log: list[tuple[str, str]] = field(default_factory=list)
    args: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    failing: dict[str, tuple[str, str]] = field(default_factory=dict)
    looks: dict[str, Any] = field(default_factory=dict)
    findings: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """What the check finds, by server."""
    inhabitants: dict[str, Any] = field(default_factory=lambda: {"accounts": [], "unclear": []})
    """Whom the agent finds on a server."""
    obstacles: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """What the agent says that stands in an account's way."""
    to_do: list[str] = field(default_factory=list)
    """What a preparation leaves to a person."""
    pages: list[dict[str, Any]] = field(default_factory=list)
    hooks: dict[tuple[str, str], str] = field(default_factory=dict)
    """The host's own, by server and name: what each says against it, empty where it agrees."""
    hooked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    sides: dict[str, str] = field(default_factory=dict)
    """As which side each server was checked."""

    def checked(self, server: str) -> dict[str, Any]:
        """What the agent's `check` gives on this server."""
        looked_at = {"files": 3, "php_files": 1, "tables": 2, "seconds": 0.1}
        return {"findings": self.findings.get(server, []), "looked_at": looked_at, "not_looked_at": []}

    def host(self, name: str, conn: psycopg.Connection | None = None) -> FakeHost:
        registry.server(self.conn, name)
        return FakeHost(self, name)

    def reach(self, name: str) -> Host:
        """The same for what asks for a `Host`: it answers as one."""
        return cast(Host, self.host(name))

    def agent_of(self, server: registry.Server) -> FakeHost:
        standing = self.servers.get(server.name)
        assert standing is None or server.host_key == standing.host_key, "it is known by its key"
        return FakeHost(self, server.name)

    # machines

    def there(self, server: registry.Server) -> SimpleNamespace | None:
        standing = self.servers.get(server.name)
        return SimpleNamespace(host_key=standing.host_key) if standing else None

    def reinstall(
        self, server: registry.Server, infrastructure: str, host_keys_of: str | None = None
    ) -> SimpleNamespace:
        fresh = made(server.name, infrastructure, server.management_address)
        if host_keys_of is not None:
            fresh.host_key, fresh.agent = self.kept[host_keys_of].host_key, NO_AGENT
        self.servers[server.name] = fresh
        return SimpleNamespace(host_key=self.servers[server.name].host_key)

    def wipe(self, server: registry.Server) -> None:
        self.servers.pop(server.name, None)

    def keep(self, server: registry.Server, label: str) -> None:
        if label not in self.kept and server.name in self.servers:
            self.kept[label] = self.servers.pop(server.name)

    def discard(self, label: str) -> None:
        self.kept.pop(label, None)

    def put_back(self, server: registry.Server, label: str) -> SimpleNamespace:
        if label in self.kept:
            assert server.name not in self.servers, "what stands there is kept or wiped before"
            disk = self.kept.pop(label)
            disk.address = server.management_address
            self.servers[server.name] = disk
        return SimpleNamespace(host_key=self.servers[server.name].host_key)

    def cut_power(self, server: registry.Server) -> None:
        self.servers[server.name].on = False

    # routes

    def route(self, argv: list[str]) -> str:
        if "replace" in argv:
            ip, hop = argv[argv.index("replace") + 1].split("/")[0], argv[-1]
            there = next(s for s in registry.list_servers(self.conn) if hop in (s.lan_address, s.lan_address6))
            assert ip in self.servers[there.name].ips, "an IP was routed to a server that does not accept it"
            self.routes[argv[-3]] = hop
            return ""
        gateway = self.routes.get(argv[-1])
        return json.dumps([{"gateway": gateway}] if gateway else [])

    @contextmanager
    def registry_connection(self) -> Iterator[psycopg.Connection]:
        yield self.conn

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Takes the place of `transhumance_airflow.connections` and of the look from outside."""
        from transhumance_airflow import connections

        monkeypatch.setattr(connections, "registry_connection", self.registry_connection)
        monkeypatch.setattr(connections, "host", self.host)
        monkeypatch.setattr(connections, "agent_of", self.agent_of)
        monkeypatch.setattr(connections, "names", lambda: self.names)
        monkeypatch.setattr(connections, "tests", lambda conn: Place(self.reach, cast(Names, self.names), TEST_DOMAIN))
        monkeypatch.setattr(reports, "compare_pages", lambda sites: {"pages": self.pages, "not_looked_at": []})
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


SHARED = (
    ("web-1", "shared", "2022", 31),
    ("web-2", "shared", "2026", 32),
    ("test-1", "test", "2026", 41),
    ("data-1", "database", "2026", 42),
)


def write_shared(hosting: Hosting) -> None:
    """Beside them: an old shared server with two customers' accounts, a new one, a test server and one for databases;
    the catalogue, too."""

    conn = hosting.conn
    catalogue.take_over(conn)
    for name, kind, infrastructure, number in SHARED:
        addresses = (f"10.20.0.{number}", f"10.30.0.{number}", f"fd30::{number}")
        registry.add_server(conn, name, kind, "M", infrastructure, None, *addresses)
        for ip in (f"198.51.100.{number}", f"2001:db8:100::{number}"):
            registry.add_ip(conn, ip, name)
        server = hosting.servers.setdefault(name, made(name, infrastructure, addresses[0]))
        registry.enrol_server(conn, name, infrastructure, server.host_key, VERSIONS[infrastructure])
    for account in ("shop", "wiki"):
        add_shared(hosting, account)
    for name, *_ in SHARED:
        told = without_secrets(hosting.host(name).call(verbs.Describe()))
        registry.record_description(conn, name, codec.plain(told))
        registry.sync_accounts(conn, name, told.accounts)


def add_shared(hosting: Hosting, account: str) -> None:
    """An account of a customer of its own on the old shared server, with its name."""
    hosting.servers["web-1"].accounts[account] = {"state": "serving", "epoch": 1, "move": None}
    registry.add_account(hosting.conn, account, "web-1", [f"{account}.example"], customer=f"customer of {account}")
    registry.add_name(hosting.conn, f"{account}.example", "A", account, "198.51.100.31", 3600)
    hosting.names.records[f"{account}.example", "A"] = ("198.51.100.31", 3600)
