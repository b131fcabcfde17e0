"""Sets the stage: registry, the original with its filled accounts, their names, Airflow's connections."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg

from include import registry
from include.agent import verbs
from include.agent.host.codec import plain
from include.hosts import Host
from include.inventory import difference as inventory
from include.inventory import text
from include.moves.enrol import enrol
from include.moves.servers import without_secrets
from include.registry.schema import upgrade
from lab import airflow, names, postgres, servers, state
from lab.accounts import ACCOUNTS, Filled, Server, fill
from lab.demo.inside import inside
from lab.say import step
from lab.topology import OPS, server

ORIGINAL, TRANSIT, TEST = "vps-1", "transit-1", "test-1"
OLD, NEW = "2022", "2026"
ENTRY = "infrastructure-2026"
PLAN = "VPS M"
CUSTOMER = "Alpine Herders"
HOST = Path(__file__).parent / "host.yaml"
"""The host's inventory."""


def registry_connection() -> psycopg.Connection:
    """A connection to the lab's registry."""
    return psycopg.connect(postgres.dsn("registry"))


def write_registry() -> None:
    """The schema, the catalogue, and what the host has: its inventory, applied to an empty registry."""
    write_catalogue(ENTRY, OLD, NEW)
    with registry_connection() as conn:
        inventory.apply(conn, text.read(HOST.read_text()), "the demo")


def write_catalogue(entry: str, old: str, new: str) -> None:
    """The schema of an empty registry, and the one migration that is offered."""
    upgrade(postgres.dsn("registry"))
    with registry_connection() as conn:
        registry.sync_catalogue(conn, [registry.Entry(entry, "Debian 13", "infrastructure", old, new)])


def host(name: str, host_key: str) -> Host:
    """A server's agent. Call it `inside` the operators' namespace; the host key is pinned."""
    return Host.connect(server(name).spec.management_address, str(state.key("ops")), host_key)


def install_original() -> str:
    """Installs the original with the old infrastructure and enrols it; gives its host key."""
    return install(ORIGINAL, OLD)


def install(name: str, infrastructure: str) -> str:
    """Installs a server and enrols it; gives its host key."""
    with step(f"{name} installed with infrastructure {infrastructure}"):
        installed = servers.install(name, infrastructure)
    with step(f"{name} enrolled: agent pushed, host key pinned"), registry_connection() as conn:
        registry.enrol_server(conn, name, infrastructure, installed.host_key, {})
        inside(OPS, enrol, conn, name, infrastructure, host(name, installed.host_key))
    return installed.host_key


def fill_original(host_key: str) -> dict[str, Filled]:
    """Creates and fills the accounts, all at once."""
    with ThreadPoolExecutor(len(ACCOUNTS)) as pool:
        filling = {name: pool.submit(_fill, name, host_key) for name in ACCOUNTS}
        return {name: future.result() for name, future in filling.items()}


def _fill(name: str, host_key: str) -> Filled:
    agent = host(ORIGINAL, host_key)

    def create(account_file: dict[str, Any]) -> None:
        inside(OPS, agent.call, verbs.Create(account_file=account_file))

    with step(f"account {name} created and filled"):
        return fill(name, Server(executor(ORIGINAL), create))


def executor(name: str) -> Callable[..., bytes]:
    """Runs programs as root in a server of the lab, as the fills want it."""
    machines = servers.machines()

    def execute(argv: list[str], input: bytes | None = None) -> bytes:
        done = machines.execute(name, argv, stdin=input, seconds=300)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
        return done.stdout

    return execute


def write_names(filled: dict[str, Filled], host_key: str) -> None:
    """The registry learns of the accounts and their names, the name server and the servers of the rest."""
    agent = host(ORIGINAL, host_key)
    with registry_connection() as conn:
        description = without_secrets(inside(OPS, agent.call, verbs.Describe()))
        registry.record_description(conn, ORIGINAL, plain(description))
        registry.sync_accounts(conn, ORIGINAL, description.accounts)
        ips = [ip.address for ip in registry.ips_of(conn, ORIGINAL)]
        inside(OPS, agent.call, verbs.AcceptIps(ips=ips))
        zone = names.client()
        address, address6 = sorted(ips, key=lambda ip: ":" in ip)
        for account in filled.values():
            for fqdn, kind, value, ttl in account.names(address, address6):
                registry.add_name(conn, fqdn, kind, account.account, value, ttl)
                inside(OPS, zone.point, fqdn, kind, None, value, ttl)


def connect_airflow(filled: dict[str, Filled]) -> None:
    """Airflow learns how to look at each account."""
    for account in filled.values():
        airflow.connect_account(account.account, account.look, account.connections)
