"""From Airflow's connections to the objects that `include` works with.

Connections: `registry` (postgres), `transhumance_agent` (ssh: user and key file for every server), `router`
(ssh: its own key, its pinned host key), `names` (generic: host = the authoritative name server, login = the
TSIG key's name, password = its secret), `test_domain` (generic: as `names`, for the zone that test names are in;
extra "domain": the test domain, if it is not the zone itself, and "certificate_file": key and chain for all names
below it), `machines` (generic: its extra says how servers are made). Everything here may be called in a worker and in
a thread of the triggerer, not on its event loop.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.providers.ssh.hooks.ssh import SSHHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from include import registry
from include.hosts import Host
from include.hosts.host import parse_host_key
from include.machines import MachineError, Machines, MachineSpec, driver
from include.network.routes import RouteError

if TYPE_CHECKING:
    import psycopg

    from include.network.names import Names
    from include.testing.copies import Place

REGISTRY = "registry"
AGENT = "transhumance_agent"
ROUTER = "router"
NAMES = "names"
TEST_DOMAIN = "test_domain"
MACHINES = "machines"
REPORTS = "TRANSHUMANCE_REPORTS"
"""The environment variable that names the folder of the reports."""


@contextmanager
def registry_connection() -> Iterator[psycopg.Connection]:
    """A psycopg 3 connection to the registry, closed at the end."""
    conn: Any = PostgresHook(REGISTRY).get_conn()  # Airflow's own type is that of both psycopgs at once
    # Each function of the registry is a transaction of its own; a mere read must not leave one open around it.
    conn.autocommit = True
    try:
        yield conn
    finally:
        conn.close()


def host(name: str, conn: psycopg.Connection | None = None) -> Host:
    """The server `name` as its agent's verbs; its address and pinned host key come from the registry."""
    if conn is not None:
        return agent_of(registry.server(conn, name))
    with registry_connection() as own:
        return agent_of(registry.server(own, name))


def reach(conn: psycopg.Connection) -> Callable[[str], Host]:
    """What reaches any server by its name."""
    return lambda name: host(name, conn)


def agent_of(server: registry.Server) -> Host:
    """The verbs of a server's agent, at the address and with the host key of this row."""
    if not server.host_key:
        raise registry.RegistryRefused(
            f"The server {server.name} has no pinned host key: enrol it (Transhumance reaches no server it does "
            "not know)."
        )
    hook: Any = SSHHook(ssh_conn_id=AGENT, remote_host=str(server.management_address), conn_retry_attempts=1)
    _, pinned = parse_host_key(server.host_key)
    hook.host_key = pinned
    hook.no_host_key_check = False
    hook.look_for_keys = False

    def connect() -> paramiko.SSHClient:
        client = hook.get_conn()
        # Paramiko asks the user's own known_hosts before the key given here, so the pin is checked once more.
        if client.get_transport().get_remote_server_key() != pinned:
            client.close()
            raise paramiko.BadHostKeyException(
                str(server.management_address), client.get_transport().get_remote_server_key(), pinned
            )
        return client

    return Host(connect)


def names() -> Names:
    """The host's DNS: updates go to the authoritative server under TSIG."""
    return _zone(NAMES, BaseHook.get_connection(NAMES).extra_dejson)


def _zone(conn_id: str, settings: dict[str, Any]) -> Names:
    from include.network.names import Names

    conn = BaseHook.get_connection(conn_id)
    if not (conn.host and conn.login and conn.password):
        raise registry.RegistryRefused(
            f"The connection {conn_id} lacks its host (the name server), login (the key's name) or password (the key): "
            "fill it in."
        )
    return Names(server=conn.host, key_name=conn.login, secret=conn.password, **settings)


def tests(conn: psycopg.Connection) -> Place:
    """Where tests are: the servers' agents, the test domain, and the zone that its names are in."""
    from include.testing.copies import Place

    try:
        settings: dict[str, Any] = dict(BaseHook.get_connection(TEST_DOMAIN).extra_dejson)
    except AirflowNotFoundException:
        raise registry.RegistryRefused(
            f"There is no connection {TEST_DOMAIN}: tell Airflow which domain tests get."
        ) from None
    domain, certificate = settings.pop("domain", settings.get("zone")), settings.pop("certificate_file", None)
    return Place(
        lambda server: host(server, conn),
        _zone(TEST_DOMAIN, settings),
        domain,
        Path(certificate).read_text() if certificate else None,
    )


def router() -> Callable[[list[str]], str]:
    """Runs one command on the router, whose key there can show and replace routes and nothing else. The connection
    begins with the first, and stands from then on."""
    client = cache(SSHHook(ssh_conn_id=ROUTER, conn_retry_attempts=1).get_conn)

    def run(argv: list[str]) -> str:
        # SSH carries one string; the key's forced command splits it and checks each word.
        _, stdout, stderr = client().exec_command(shlex.join(argv), timeout=20)
        said = stdout.read().decode()
        if stdout.channel.recv_exit_status() != 0:
            raise RouteError(f"The router refused {shlex.join(argv)}: {stderr.read().decode().strip()[:300]}")
        return said

    return run


def machines() -> tuple[Machines, Callable[[registry.Server], MachineSpec]]:
    """What makes and remakes servers here, and how it is told which: (machines, server -> its spec).

    The connection's extra holds the kind's settings and the routers' addresses in the servers' network.
    """
    settings: dict[str, Any] = dict(BaseHook.get_connection(MACHINES).extra_dejson)
    kind = settings.pop("kind", "lxc")
    routers = {key: settings.pop(key) for key in ("router_address", "router_address6")}

    def spec(server: registry.Server) -> MachineSpec:
        for sentence in registry.missing_addresses(server):
            raise registry.RegistryRefused(sentence)
        return MachineSpec(
            name=server.name,
            management_address=str(server.management_address),
            lan_address=str(server.lan_address),
            lan_address6=str(server.lan_address6),
            **routers,
        )

    try:
        return driver(kind, settings), spec
    except MachineError as error:
        raise registry.RegistryRefused(f"The connection {MACHINES} cannot be used: {error}") from error


def reports_folder() -> Path:
    """Where the migrations' reports are written."""
    folder = os.environ.get(REPORTS)
    if not folder:
        raise registry.RegistryRefused(f"No folder for reports is known: set {REPORTS} in Airflow's environment.")
    return Path(folder)
