"""The registry's inventory as a document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import psycopg
from pydantic import ValidationError

from include import registry
from include.agent.host.digest import printable
from include.inventory.document import Customer, Inventory, Plan, Price, Server, Site, Zone


def stored(conn: psycopg.Connection) -> Inventory:
    """What the registry says that the host has. Applied to an empty registry, it gives the same."""
    addresses: defaultdict[str, list[str]] = defaultdict(list)
    for ip in registry.list_ips(conn):
        addresses[ip.home_server].append(ip.address)
    try:
        return _document(conn, addresses)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = printable(".".join(map(str, first["loc"])))
        raise registry.RegistryRefused(
            f"The registry holds what no inventory can say ({place}: {printable(str(first['input']))[:80]}): correct it"
            " there."
        ) from None


def _document(conn: psycopg.Connection, addresses: Mapping[str, list[str]]) -> Inventory:
    return Inventory(
        sites=tuple(Site(name=name) for name in registry.list_sites(conn)),
        plans=tuple(_plan(plan, registry.prices_of(conn, plan.name)) for plan in registry.list_plans(conn)),
        customers=tuple(Customer(name=each.name, mail=each.mail) for each in registry.list_customers(conn)),
        servers=tuple(_server(server, addresses.get(server.name, [])) for server in registry.list_servers(conn)),
        zones=tuple(Zone(**_fields(zone, Zone)) for zone in registry.list_zones(conn)),
    ).ordered()


def _plan(plan: registry.Plan, prices: list[registry.Price]) -> Plan:
    return Plan(
        name=plan.name,
        cpus=plan.cpus,
        memory=plan.memory_bytes,
        disk=plan.disk_bytes,
        prices=tuple(
            Price.model_validate({"monthly": price.monthly_price, "currency": price.currency, "from": price.valid_from})
            for price in prices
        ),
    )


def _server(server: registry.Server, addresses: list[str]) -> Server:
    return Server(**_fields(server, Server), service_addresses=tuple(addresses))


def _fields(record: Any, kind: type[Server] | type[Zone]) -> dict[str, Any]:
    """The fields that a row has by the same name."""
    return {name: getattr(record, name) for name in kind.model_fields if hasattr(record, name)}
