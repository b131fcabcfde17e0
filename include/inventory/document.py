"""What a host has, as one document: sites, plans with prices, customers, servers with their addresses, zones.

The pool of transits is the servers of kind transit. Addresses are taken as they are: one network interface with one
address is a server too. What cannot be done with such a server is told where it is to be done.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from include.inventory.fields import (
    Address,
    Address4,
    Address6,
    ConnectionName,
    Currency,
    CustomerName,
    Day,
    Host,
    HostKey,
    Infrastructure,
    Mail,
    Money,
    Name,
    ServerName,
    Size,
    Whole,
    ZoneName,
)
from include.registry.kinds import ServerKind
from include.registry.plans import FIRST_DAY


class Part(BaseModel):
    """A part of the document: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Site(Part):
    """A place whose servers are near each other: transits, test servers and the like are chosen within it."""

    name: Name


class Price(Part):
    """What a plan costs a month, from a day on until the day of its next price."""

    monthly: Money = Field(description="An exact amount, such as 29.90.")
    currency: Currency = Field(description="By ISO 4217.")
    begins: Day = Field(
        FIRST_DAY,
        alias="from",
        description="The first day, where the host counts its days. Without it: from the beginning. A price that is "
        "added later begins after today.",
    )


class Plan(Part):
    """A configuration that servers come in."""

    name: Name
    cpus: Whole
    memory: Size = Field(description="With a unit: 4 GiB.")
    disk: Size = Field(description="With a unit: 80 GiB.")
    prices: tuple[Price, ...] = Field(min_length=1, description="The first one has no `from`; each later one has.")


class Customer(Part):
    """A customer who has a server, or whose mail address is known."""

    name: CustomerName = Field(description="As the panel names them.")
    mail: Mail | None = Field(default=None, description="Where reminders go besides the webhook.")


class Server(Part):
    """A server, with the addresses that it has."""

    name: ServerName
    kind: ServerKind = Field(description="A transit is one of the pool.")
    plan: Name = Field(description="One of `plans`.")
    infrastructure: Infrastructure = Field(
        description="What it runs, by its name in config/infrastructures. Once it is enrolled it says so itself."
    )
    management_address: Address = Field(description="Where its SSH answers. It may be one of its service addresses.")
    site: Name | None = Field(default=None, description="One of `sites`; every server has one, or none has.")
    customer: CustomerName | None = Field(
        default=None, description="One of `customers`; of a dedicated server or VPS only."
    )
    lan_address: Address4 | None = Field(default=None, description="Where the router sends its IPv4 addresses.")
    lan_address6: Address6 | None = Field(default=None, description="Where the router sends its IPv6 addresses.")
    service_addresses: tuple[Address, ...] = Field(
        (), description="What its visitors know, IPv4 and IPv6; any or none."
    )
    host_key: HostKey | None = Field(default=None, description="Pinned at its enrolment where it is left out here.")


class Zone(Part):
    """A zone of the host's DNS."""

    name: ZoneName
    primary_server: Host = Field(description="The name server that takes its updates: a name or an address.")
    key_connection: ConnectionName = Field(description="The connection of Airflow's that has the key, never the key.")


class Inventory(Part):
    """What a host has. What is not in it, the host has not: it is removed where nothing depends on it."""

    sites: tuple[Site, ...] = ()
    plans: tuple[Plan, ...] = ()
    customers: tuple[Customer, ...] = ()
    servers: tuple[Server, ...] = ()
    zones: tuple[Zone, ...] = ()

    def ordered(self) -> Inventory:
        """The same, with everything in the order that it is exported in."""

        def by_name(parts: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(sorted(parts, key=lambda part: part.name))

        plans = (
            plan.model_copy(update={"prices": tuple(sorted(plan.prices, key=lambda price: price.begins))})
            for plan in self.plans
        )
        servers = (
            server.model_copy(update={"service_addresses": tuple(sorted(server.service_addresses, key=_by_number))})
            for server in self.servers
        )
        return Inventory(
            sites=by_name(self.sites),
            plans=by_name(tuple(plans)),
            customers=by_name(self.customers),
            servers=by_name(tuple(servers)),
            zones=by_name(self.zones),
        )


def _by_number(address: str) -> tuple[int, int]:
    parsed = ip_address(address)
    return parsed.version, int(parsed)
