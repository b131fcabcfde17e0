"""Servers: what each is, and how it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include.agent.account.engines import declared
from include.registry.database import RegistryRefused, column, execute, in_transaction, row, rows, value
from include.registry.events import event
from include.registry.kinds import INFRASTRUCTURE, ONE_CUSTOMERS, EventKind, ServerKind
from include.registry.network import remove_ip
from include.registry.states import ServerState

COLUMNS = """
    name, kind, plan, infrastructure, customer, host(management_address) AS management_address,
    host(lan_address) AS lan_address, host(lan_address6) AS lan_address6, state, state_since, host_key,
    versions, description, described_at, paused_because, reserved_for, keep_host_keys, site
"""


@dataclass(frozen=True)
class Server:
    """A machine that accounts, their databases or test copies live on, or may.

    `versions` and `description` are what its agent said last. `keep_host_keys`: after a migration a customer's own
    server shows the SSH host keys that it had before."""

    name: str
    kind: str
    plan: str
    infrastructure: str
    customer: str | None
    management_address: str
    lan_address: str | None
    lan_address6: str | None
    state: str
    state_since: datetime
    host_key: str | None
    versions: dict[str, str]
    description: dict[str, Any] | None
    described_at: datetime | None
    paused_because: str | None
    reserved_for: str | None
    keep_host_keys: bool
    site: str | None

    def runs(self, kind: str) -> str:
        """The version of an entry's kind that it runs: its infrastructure, or the major of an engine ("17", "11.8");
        empty when that is not known. The schema's `version_of` says the same."""
        if kind == INFRASTRUCTURE:
            return self.infrastructure
        return declared(kind).release_of(self.versions.get(kind, ""))

    @property
    def in_site(self) -> str:
        """Its site as words of a sentence (" in site Zurich"); nothing where the host has one site and names none."""
        return f" in site {self.site}" if self.site else ""

    @property
    def enrolled(self) -> bool:
        """Whether it has been asked what it runs."""
        return bool(self.versions)


@in_transaction
def add_server(
    conn: psycopg.Connection,
    name: str,
    kind: str,
    plan: str,
    infrastructure: str,
    customer: str | None,
    management_address: str,
    lan_address: str | None,
    lan_address6: str | None,
    state: str | None = None,
    site: str | None = None,
    by: str | None = None,
) -> Server:
    """Add a server: kind shared, dedicated, vps, transit, test (holds test copies and nothing else) or database
    (holds databases of accounts that live elsewhere). Dedicated and VPS have a customer, others none. LAN addresses are
    where the router sends its IPs; a server may have none. `state` is serving, or free for a transit (the default).
    Repeating it is fine; what is there otherwise is `change_server`'s. A name that was removed may come again."""
    if state is None:
        state = ServerState.FREE if kind == ServerKind.TRANSIT else ServerState.SERVING
    added = execute(
        conn,
        """
        INSERT INTO servers AS s (name, kind, plan, infrastructure, customer, management_address, lan_address,
            lan_address6, state, site)
        VALUES (%(name)s, %(kind)s, %(plan)s, %(infrastructure)s, %(customer)s, %(management)s, %(lan)s, %(lan6)s,
            %(state)s, %(site)s)
        ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, plan = excluded.plan,
            infrastructure = excluded.infrastructure, customer = excluded.customer,
            management_address = excluded.management_address, lan_address = excluded.lan_address,
            lan_address6 = excluded.lan_address6, state = excluded.state, site = excluded.site
            WHERE s.state = 'removed'
        """,
        {
            "name": name,
            "kind": kind,
            "plan": plan,
            "infrastructure": infrastructure,
            "customer": customer,
            "management": management_address,
            "lan": lan_address,
            "lan6": lan_address6,
            "state": state,
            "site": site,
        },
    )
    record = server(conn, name)
    if added:
        event(conn, EventKind.SERVER_ADDED, server=name, by=by, detail={"kind": kind, "plan": plan})
        return record
    addresses = (management_address, lan_address, lan_address6)
    stored = (record.management_address, record.lan_address, record.lan_address6)
    is_so = (record.kind, record.plan, record.customer, record.site, *map(_plain, stored))
    if is_so != (kind, plan, customer, site, *map(_plain, addresses)):
        raise RegistryRefused(
            f"Server {name} exists with another kind, plan, customer, site or address: choose another name, or change"
            " it in the inventory."
        )
    return record


def _plain(address: str | None) -> str | None:
    """An address as it is written here, which may be another way than the database's."""
    return None if address is None else str(ip_address(address))


def _locked(conn: psycopg.Connection, name: str) -> Server:
    """A server that the host has, for this transaction to change."""
    execute(conn, "SELECT FROM servers WHERE name = %(name)s FOR UPDATE", {"name": name})
    record = server(conn, name)
    if record.state == ServerState.REMOVED:
        raise RegistryRefused(f"Server {name} was removed: add it again first.")
    return record


CHANGEABLE = ("kind", "plan", "customer", "site", "management_address", "lan_address", "lan_address6")
"""What a server is, by the names of its columns."""


@in_transaction
def change_server(conn: psycopg.Connection, name: str, changes: Mapping[str, str | None], by: str) -> Server:
    """Change what a server is: {one of CHANGEABLE: value}. Refused while a migration or move of it is under way, and
    where its kind would change."""
    if unknown := changes.keys() - set(CHANGEABLE):
        raise TypeError(f"{', '.join(unknown)} cannot be changed")
    before = _locked(conn, name)
    differing = {field: value for field, value in changes.items() if getattr(before, field) != value}
    if differing:
        columns = ", ".join(f"{field} = %({field})s" for field in differing)
        execute(conn, f"UPDATE servers SET {columns} WHERE name = %(server)s", {**differing, "server": name})
        detail = {field: {"from": getattr(before, field), "to": value} for field, value in differing.items()}
        event(conn, EventKind.SERVER_CHANGED, server=name, by=by, detail=detail)
    return server(conn, name)


@in_transaction
def state_server(
    conn: psycopg.Connection, name: str, infrastructure: str, host_key: str | None, by: str | None = None
) -> Server:
    """Write down what is said of a server's infrastructure and host key before it has said anything itself. Refused
    once it is enrolled: from then on `enrol_server` writes what it has been found to have."""
    before = _locked(conn, name)
    if (before.infrastructure, before.host_key) == (infrastructure, host_key):
        return before
    if before.enrolled:
        raise RegistryRefused(f"Server {name} is enrolled: enrol it again for another infrastructure or host key.")
    execute(
        conn,
        "UPDATE servers SET infrastructure = %(infrastructure)s, host_key = %(key)s WHERE name = %(name)s",
        {"name": name, "infrastructure": infrastructure, "key": host_key},
    )
    detail = {
        "infrastructure": {"from": before.infrastructure, "to": infrastructure},
        "host_key": {"from": before.host_key, "to": host_key},
    }
    event(conn, EventKind.SERVER_CHANGED, server=name, by=by, detail=detail)
    return server(conn, name)


@in_transaction
def remove_server(conn: psycopg.Connection, name: str, by: str) -> None:
    """Note that the host has this server no more; its IPs go with it. Refused while anybody's data is on it or belongs
    to it, a migration or move of it is under way, or it is a transit that is not free. What happened to it stays."""
    execute(conn, "SELECT FROM servers WHERE name = %(name)s FOR UPDATE", {"name": name})
    if server(conn, name).state == ServerState.REMOVED:
        return
    for address in column(conn, "SELECT host(address) FROM ips WHERE home_server = %(name)s", {"name": name}):
        remove_ip(conn, address, by)
    execute(
        conn,
        """
        UPDATE servers SET state = 'removed', site = NULL, host_key = NULL, versions = '{}', description = NULL,
            described_at = NULL, paused_because = NULL, reserved_for = NULL
        WHERE name = %(name)s
        """,
        {"name": name},
    )
    event(conn, EventKind.SERVER_REMOVED, server=name, by=by)


@in_transaction
def server(conn: psycopg.Connection, name: str) -> Server:
    """A server; refuses an unknown name."""
    record = row(conn, Server, f"SELECT {COLUMNS} FROM servers WHERE name = %(name)s", {"name": name})
    if record is None:
        raise RegistryRefused(f"There is no server {name}: check its name.")
    return record


@in_transaction
def list_servers(conn: psycopg.Connection, kind: str | None = None, state: str | None = None) -> list[Server]:
    """Servers by name, of one kind and in one state, or all that were not removed."""
    return rows(
        conn,
        Server,
        f"""
        SELECT {COLUMNS} FROM servers
        WHERE (%(kind)s::text IS NULL OR kind = %(kind)s)
            AND CASE WHEN %(state)s::text IS NULL THEN state <> 'removed' ELSE state = %(state)s END
        ORDER BY name
        """,
        {"kind": kind, "state": state},
    )


@in_transaction
def enrol_server(
    conn: psycopg.Connection, name: str, infrastructure: str, host_key: str, versions: dict[str, str]
) -> Server:
    """Pin a server's host key and note what it runs, after an install. Another key than the pinned one is
    refused while an account lives on the server: nobody reinstalled it, so the key is not to be trusted."""
    execute(conn, "SELECT FROM servers WHERE name = %(name)s FOR UPDATE", {"name": name})
    record = server(conn, name)
    if record.host_key not in (None, host_key):
        living = value(conn, "SELECT living_on(%(name)s)", {"name": name})
        if living:
            raise RegistryRefused(
                f"Server {name} shows another host key than the pinned one, but accounts live on it"
                f" ({living}): find out why before anything is sent to it."
            )
    if (record.infrastructure, record.host_key, record.versions) == (infrastructure, host_key, versions):
        return record
    execute(
        conn,
        """
        UPDATE servers SET infrastructure = %(infrastructure)s, host_key = %(key)s, versions = %(versions)s
        WHERE name = %(name)s
        """,
        {"name": name, "infrastructure": infrastructure, "key": host_key, "versions": Jsonb(versions)},
    )
    event(
        conn,
        EventKind.SERVER_ENROLLED,
        server=name,
        detail={"infrastructure": infrastructure, "host_key": host_key, "versions": versions},
    )
    return server(conn, name)


@in_transaction
def record_description(conn: psycopg.Connection, name: str, description: dict[str, Any]) -> None:
    """Keep what the agent's `describe` said last; versions too, when it tells them."""
    changed = execute(
        conn,
        """
        UPDATE servers SET description = %(description)s, described_at = now(),
            versions = coalesce(%(description)s -> 'versions', versions)
        WHERE name = %(name)s
        """,
        {"name": name, "description": Jsonb(description)},
    )
    if not changed:
        raise RegistryRefused(f"There is no server {name}: check its name.")


@in_transaction
def keep_host_keys(conn: psycopg.Connection, name: str, keep: bool, by: str) -> Server:
    """Whether a dedicated server or VPS has its SSH host keys again after it is reinstalled in a migration, so that
    nobody who logs in there is warned; or a new one, because somebody else may know the old."""
    record = server(conn, name)
    if record.kind not in ONE_CUSTOMERS:
        raise RegistryRefused(
            f"Server {name} is no customer's own: it gets a new SSH host key whenever it is installed."
        )
    if record.keep_host_keys != keep:
        execute(
            conn, "UPDATE servers SET keep_host_keys = %(keep)s WHERE name = %(name)s", {"keep": keep, "name": name}
        )
        event(conn, EventKind.SERVER_HOST_KEYS, server=name, by=by, detail={"keep": keep})
    return server(conn, name)


@in_transaction
def pause_server(conn: psycopg.Connection, name: str, reason: str, by: str) -> Server:
    """Choose this server for nothing new until `resume_server`: a transit for no request, a test server for no test, a
    shared or database server for no account. What is there or on its way goes on."""
    if not reason.strip():
        raise RegistryRefused("A paused server makes others wait: give the reason.")
    return _pause(conn, name, reason, EventKind.SERVER_PAUSED, by)


@in_transaction
def resume_server(conn: psycopg.Connection, name: str, by: str) -> Server:
    """Let a paused server be chosen again."""
    return _pause(conn, name, None, EventKind.SERVER_RESUMED, by)


def _pause(conn: psycopg.Connection, name: str, reason: str | None, kind: EventKind, by: str) -> Server:
    record = server(conn, name)
    if record.kind in ONE_CUSTOMERS:
        raise RegistryRefused(f"Server {name} is a customer's own: nothing new is put on it that could be paused.")
    changed = execute(
        conn,
        "UPDATE servers SET paused_because = %(to)s WHERE name = %(name)s AND paused_because IS DISTINCT FROM %(to)s",
        {"name": name, "to": reason},
    )
    if changed:
        event(conn, kind, server=name, by=by, detail={"paused_because": reason})
    return server(conn, name)
