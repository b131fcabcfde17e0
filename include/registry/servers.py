"""Plans with their prices, and servers."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include.agent.account.engines import declared
from include.registry.database import RegistryRefused, execute, in_transaction, row, rows, value
from include.registry.events import event
from include.registry.kinds import INFRASTRUCTURE, ONE_CUSTOMERS, EventKind, ServerKind
from include.registry.states import ServerState

FIRST_DAY = date(1970, 1, 1)
"""The price that a plan is added with holds from here on."""

COLUMNS = """
    name, kind, plan, infrastructure, customer, host(management_address) AS management_address,
    host(lan_address) AS lan_address, host(lan_address6) AS lan_address6, state, state_since, host_key,
    versions, description, described_at, paused_because, reserved_for, keep_host_keys
"""


@dataclass(frozen=True)
class Plan:
    """A configuration that servers come in, with a price. `monthly_price` is today's (by the database's date)."""

    name: str
    cpus: int
    memory_bytes: int
    disk_bytes: int
    larger_transit: bool
    monthly_price: Decimal
    currency: str


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
    lan_address: str
    lan_address6: str
    state: str
    state_since: datetime
    host_key: str | None
    versions: dict[str, str]
    description: dict[str, Any] | None
    described_at: datetime | None
    paused_because: str | None
    reserved_for: str | None
    keep_host_keys: bool

    def runs(self, kind: str) -> str:
        """The version of an entry's kind that it runs: its infrastructure, or the major of an engine ("17", "11.8");
        empty when that is not known. The schema's `version_of` says the same."""
        if kind == INFRASTRUCTURE:
            return self.infrastructure
        return declared(kind).release_of(self.versions.get(kind, ""))


@in_transaction
def add_plan(
    conn: psycopg.Connection,
    name: str,
    monthly_price: Decimal,
    currency: str,
    cpus: int,
    memory_bytes: int,
    disk_bytes: int,
) -> Plan:
    """Add a plan with its first price. Repeating it is fine; another size under the same name is refused.
    A later price is `set_price`'s."""
    params = {"name": name, "cpus": cpus, "memory": memory_bytes, "disk": disk_bytes}
    added = execute(
        conn,
        """
        INSERT INTO plans (name, cpus, memory_bytes, disk_bytes)
        VALUES (%(name)s, %(cpus)s, %(memory)s, %(disk)s) ON CONFLICT (name) DO NOTHING
        """,
        params,
    )
    if added:
        set_price(conn, name, monthly_price, currency, FIRST_DAY)
    record = plan(conn, name)
    if (record.cpus, record.memory_bytes, record.disk_bytes) != (cpus, memory_bytes, disk_bytes):
        raise RegistryRefused(f"Plan {name} exists with another size: give the new plan a name of its own.")
    return record


@in_transaction
def plan(conn: psycopg.Connection, name: str) -> Plan:
    """A plan; refuses an unknown name."""
    record = row(
        conn,
        Plan,
        """
        SELECT p.name, cpus, memory_bytes, disk_bytes, larger_transit, monthly_price, currency
        FROM plans p JOIN LATERAL (
            SELECT monthly_price, currency FROM plan_prices
            WHERE plan = p.name AND valid_from <= current_date ORDER BY valid_from DESC LIMIT 1
        ) price ON true
        WHERE p.name = %(name)s
        """,
        {"name": name},
    )
    if record is None:
        raise RegistryRefused(f"There is no plan {name}: add it with a price.")
    return record


@in_transaction
def set_price(
    conn: psycopg.Connection,
    plan: str,
    monthly_price: Decimal,
    currency: str,
    valid_from: date,
    by: str | None = None,
) -> None:
    """The plan's price from a day on. A price that has begun to hold is history and stays."""
    if not isinstance(monthly_price, Decimal):
        raise TypeError("monthly_price is a Decimal: a float cannot hold a price")
    params = {"plan": plan, "price": monthly_price, "currency": currency, "day": valid_from}
    changed = execute(
        conn,
        """
        INSERT INTO plan_prices (plan, monthly_price, currency, valid_from)
        VALUES (%(plan)s, %(price)s, %(currency)s, %(day)s)
        ON CONFLICT (plan, valid_from) DO UPDATE
            SET monthly_price = excluded.monthly_price, currency = excluded.currency
            WHERE (plan_prices.monthly_price, plan_prices.currency)
                IS DISTINCT FROM (excluded.monthly_price, excluded.currency)
        """,
        params,
    )
    if changed:
        detail = {"plan": plan, "monthly_price": str(monthly_price), "currency": currency}
        event(conn, EventKind.PLAN_PRICED, by=by, detail={**detail, "valid_from": valid_from.isoformat()})


@in_transaction
def add_server(
    conn: psycopg.Connection,
    name: str,
    kind: str,
    plan: str,
    infrastructure: str,
    customer: str | None,
    management_address: str,
    lan_address: str,
    lan_address6: str,
    state: str | None = None,
) -> Server:
    """Add a server: kind shared, dedicated, vps, transit, test (holds test copies and nothing else) or database
    (holds databases of accounts that live elsewhere). Dedicated and VPS have a customer, others none. `state` is
    serving, or free for a transit (the default). Repeating it is fine."""
    if state is None:
        state = ServerState.FREE if kind == ServerKind.TRANSIT else ServerState.SERVING
    added = execute(
        conn,
        """
        INSERT INTO servers (name, kind, plan, infrastructure, customer, management_address, lan_address,
            lan_address6, state)
        VALUES (%(name)s, %(kind)s, %(plan)s, %(infrastructure)s, %(customer)s, %(management)s, %(lan)s,
            %(lan6)s, %(state)s)
        ON CONFLICT (name) DO NOTHING
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
        },
    )
    record = server(conn, name)
    if added:
        event(conn, EventKind.SERVER_ADDED, server=name, detail={"kind": kind, "plan": plan})
    elif (record.kind, record.plan, record.management_address) != (kind, plan, management_address):
        raise RegistryRefused(f"Server {name} exists with another kind, plan or address: choose another name.")
    return record


@in_transaction
def server(conn: psycopg.Connection, name: str) -> Server:
    """A server; refuses an unknown name."""
    record = row(conn, Server, f"SELECT {COLUMNS} FROM servers WHERE name = %(name)s", {"name": name})
    if record is None:
        raise RegistryRefused(f"There is no server {name}: check its name.")
    return record


@in_transaction
def list_servers(conn: psycopg.Connection, kind: str | None = None, state: str | None = None) -> list[Server]:
    """Servers by name, of one kind and in one state, or all."""
    return rows(
        conn,
        Server,
        f"""
        SELECT {COLUMNS} FROM servers
        WHERE (%(kind)s::text IS NULL OR kind = %(kind)s) AND (%(state)s::text IS NULL OR state = %(state)s)
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
