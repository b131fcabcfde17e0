"""What a host has, as one document: sites, plans with prices, customers, servers with their addresses, zones.

The pool of transits is the servers of kind transit. Addresses are taken as they are: one network interface with one
address is a server too. What cannot be done with such a server is told where it is to be done.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from include.machines.interface import NAME as MACHINE_NAME
from include.registry.kinds import ServerKind
from include.registry.plans import FIRST_DAY

UNITS = {
    "TiB": 1 << 40,
    "GiB": 1 << 30,
    "MiB": 1 << 20,
    "KiB": 1 << 10,
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
}
_SIZE = re.compile(rf"([1-9][0-9]{{0,17}})(?: ({'|'.join(UNITS)}))?")
MAX_SIZE = 1 << 60
_LABEL = MACHINE_NAME.pattern
_HOST_NAME = rf"([a-z0-9_]([a-z0-9-]{{0,61}}[a-z0-9])?\.)+{_LABEL}"


def _text(value: Any, pattern: str, sentence: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value) or not value.isprintable():
        raise ValueError(sentence)
    return value


def _matching(pattern: str, sentence: str, also: tuple[str, ...] = ()) -> Any:
    """A text of this form; `also`: other types as which YAML would read it, for whoever checks it by the schema."""
    schema: dict[str, Any] = {"type": ["string", *also] if also else "string", "pattern": f"^{pattern}$"}
    return Annotated[
        str, BeforeValidator(lambda value: _text(value, pattern, sentence)), WithJsonSchema(schema)
    ]  # fmt: skip


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[1-9][0-9]{0,8}", str(value)):
        raise ValueError("is no whole number from 1 on: correct it")
    return int(value)


def _money(value: Any) -> Decimal:
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,4})?", str(value)):
        raise ValueError("is no price: write a number such as 29.90")
    return Decimal(str(value))


def _day(value: Any) -> date:
    if isinstance(value, date):
        return value
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", str(value), re.ASCII):
            raise ValueError
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError("is no date: write it as 2027-01-31") from None


def _size(value: Any) -> int:
    written = _SIZE.fullmatch(str(value))
    size = int(written[1]) * UNITS.get(written[2], 1) if written else 0
    if not 0 < size <= MAX_SIZE:
        raise ValueError("is no size: write a whole number with a unit, such as 80 GiB")
    return size


def _size_text(size: int) -> str:
    """As it is read: with the largest unit that leaves a whole number."""
    for unit, amount in UNITS.items():
        if size % amount == 0:
            return f"{size // amount} {unit}"
    return str(size)


def _address(value: Any, version: int | None) -> str:
    wanted = f"IPv{version} address" if version else "IP address"
    try:
        address = ip_address(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"is no {wanted}: write one, without a prefix length") from None
    if version not in (None, address.version):
        raise ValueError(f"is no {wanted}: write one")
    not_a_servers = address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local
    if not_a_servers or "%" in str(address) or getattr(address, "ipv4_mapped", None):
        raise ValueError("is no address that a server can be reached at: correct it")
    return str(address)


def _address_of(version: int | None) -> Any:
    formats: list[dict[str, Any]] = [{"format": f"ipv{each}"} for each in (4, 6) if version in (None, each)]
    schema = {"type": "string", **(formats[0] if len(formats) == 1 else {"anyOf": formats})}
    return Annotated[str, BeforeValidator(lambda value: _address(value, version)), WithJsonSchema(schema)]


def _host(value: Any) -> str:
    """A host name, or an address."""
    try:
        return _address(value, None)
    except ValueError:
        text = value.lower().removesuffix(".") if isinstance(value, str) else value
        return _text(text, rf"(?=.{{1,253}}$){_HOST_NAME}", "is neither a host name nor an IP address: correct it")


def _zone_name(value: Any) -> str:
    text = value.lower().removesuffix(".") if isinstance(value, str) else value
    return _text(text, rf"(?=.{{1,253}}$){_HOST_NAME}", "is not the name of a zone, such as example.net: correct it")


Name = _matching(r"\S(.{0,62}\S)?", "is no name: write 1 to 64 printable characters, on one line")
ServerName = _matching(_LABEL, "is no server's name: use lower-case letters, digits and '-', at most 63")
CustomerName = _matching(r"\S(.{0,198}\S)?", "is no name: write 1 to 200 printable characters, on one line")
Infrastructure = _matching(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}",
    "is no infrastructure: write the name of one, such as 2022",
    ("integer", "number"),
)
Currency = _matching(r"[A-Z]{3}", "is no currency: write its three letters, such as EUR")
Mail = _matching(r"(?=.{3,254}$)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+", "is no mail address: correct it")
HostKey = _matching(
    r"(?=.{1,4000}$)[a-z0-9@.-]+ [A-Za-z0-9+/]+=*",
    "is no host key: write it as 'ssh-ed25519 AAAA...', without a comment",
)
ConnectionName = _matching(
    r"[A-Za-z0-9_.-]{1,200}", "is not the name of a connection of Airflow's: write that, never a key itself"
)
Address = _address_of(None)
Address4 = _address_of(4)
Address6 = _address_of(6)
Zone_ = Annotated[str, BeforeValidator(_zone_name), WithJsonSchema({"type": "string"})]
Host = Annotated[str, BeforeValidator(_host), WithJsonSchema({"type": "string"})]
Whole = Annotated[int, BeforeValidator(_whole), WithJsonSchema({"type": "integer", "minimum": 1})]
Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(_size_text, return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "pattern": f"^{_SIZE.pattern}$", "minimum": 1}),
]
Money = Annotated[
    Decimal,
    BeforeValidator(_money),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": ["string", "number"], "pattern": r"^[0-9]{1,12}(\.[0-9]{1,4})?$", "minimum": 0}),
]
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]


class Part(BaseModel):
    """A part of the document: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


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
    mail: Mail | None = Field(None, description="Where reminders go besides the webhook.")


class Server(Part):
    """A server, with the addresses that it has."""

    name: ServerName
    kind: ServerKind = Field(description="A transit is one of the pool.")
    plan: Name = Field(description="One of `plans`.")
    infrastructure: Infrastructure = Field(
        description="What it runs, by its name in config/infrastructures. Once it is enrolled it says so itself."
    )
    management_address: Address = Field(description="Where its SSH answers. It may be one of its service addresses.")
    site: Name | None = Field(None, description="One of `sites`; every server has one, or none has.")
    customer: CustomerName | None = Field(None, description="One of `customers`; of a dedicated server or VPS only.")
    lan_address: Address4 | None = Field(None, description="Where the router sends its IPv4 addresses.")
    lan_address6: Address6 | None = Field(None, description="Where the router sends its IPv6 addresses.")
    service_addresses: tuple[Address, ...] = Field(
        (), description="What its visitors know, IPv4 and IPv6; any or none."
    )
    host_key: HostKey | None = Field(None, description="Pinned at its enrolment where it is left out here.")


class Zone(Part):
    """A zone of the host's DNS."""

    name: Zone_
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
