"""The kinds of values in the document: how each is read from a text, what is said where it cannot be, and what the
published schema says of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, core_schema

from include.machines.interface import NAME as SERVER_NAME

UNITS = {
    "TiB": 1 << 40,
    "GiB": 1 << 30,
    "MiB": 1 << 20,
    "KiB": 1 << 10,
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
}
MAX_SIZE = 1 << 60
_SIZE = rf"[1-9][0-9]{{0,17}}( ({'|'.join(UNITS)}))?"
_MONEY = r"[0-9]{1,12}(\.[0-9]{1,4})?"
_HOST_NAME = rf"(?=.{{1,253}}$)([a-z0-9_]([a-z0-9-]{{0,61}}[a-z0-9])?\.)+{SERVER_NAME.pattern}"


@dataclass(frozen=True, eq=False)  # an annotation has to be hashable
class Read:
    """For `Annotated`: `read` gives the value, or raises ValueError with the rest of a sentence that begins with the
    field's name; `schema` is the published one."""

    read: Callable[[Any], Any]
    schema: dict[str, Any]

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(kind))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema)


def _text(value: Any, pattern: str, sentence: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value) or not value.isprintable():
        raise ValueError(sentence)
    return value


def _matching(pattern: str, sentence: str, *also: str) -> Read:
    """A text of this form; `also`: other types as which YAML reads some of them, for whoever checks by the schema."""
    schema = {"type": ["string", *also] if also else "string", "pattern": f"^{pattern}$"}
    return Read(lambda value: _text(value, pattern, sentence), schema)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[1-9][0-9]{0,8}", str(value)):
        raise ValueError("is no whole number from 1 on: correct it")
    return int(value)


def _money(value: Any) -> Decimal:
    if not re.fullmatch(_MONEY, str(value)):
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
    number, _, unit = str(value).partition(" ") if re.fullmatch(_SIZE, str(value)) else ("0", "", "")
    size = int(number) * UNITS.get(unit, 1)
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
    kind = f"IPv{version} address" if version else "IP address"
    try:
        address = ip_address(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"is no {kind}: write one, without a prefix length") from None
    if version not in (None, address.version):
        raise ValueError(f"is no {kind}: write one")
    not_a_servers = address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local
    if not_a_servers or "%" in str(address) or getattr(address, "ipv4_mapped", None):
        raise ValueError("is no address that a server can be reached at: correct it")
    return str(address)


def _address_of(version: int | None) -> Read:
    formats = [{"format": f"ipv{each}"} for each in (4, 6) if version in (None, each)]
    schema = {"type": "string"} | ({"anyOf": formats} if len(formats) > 1 else formats[0])
    return Read(lambda value: _address(value, version), schema)


def _host(value: Any) -> str:
    """A host name, or an address."""
    try:
        return _address(value, None)
    except ValueError:
        return _host_name(value, "is neither a host name nor an IP address: correct it")


def _host_name(value: Any, sentence: str) -> str:
    return _text(value.lower().removesuffix(".") if isinstance(value, str) else value, _HOST_NAME, sentence)


def _zone(value: Any) -> str:
    return _host_name(value, "is not the name of a zone, such as example.net: correct it")


Name = Annotated[str, _matching(r"\S(.{0,62}\S)?", "is no name: write 1 to 64 printable characters, on one line")]
ServerName = Annotated[
    str, _matching(SERVER_NAME.pattern, "is no server's name: use lower-case letters, digits and '-', at most 63")
]
CustomerName = Annotated[
    str, _matching(r"\S(.{0,198}\S)?", "is no name: write 1 to 200 printable characters, on one line")
]
Infrastructure = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}",
        "is no infrastructure: write the name of one, such as 2022",
        "integer",
        "number",
    ),
]
Currency = Annotated[str, _matching(r"[A-Z]{3}", "is no currency: write its three letters, such as EUR")]
Mail = Annotated[
    str,
    _matching(r"(?=.{3,254}$)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+", "is no mail address: correct it"),
]
HostKey = Annotated[
    str,
    _matching(
        r"(?=.{1,4000}$)[a-z0-9@.-]+ [A-Za-z0-9+/]+=*",
        "is no host key: write it as 'ssh-ed25519 AAAA...', without a comment",
    ),
]
ConnectionName = Annotated[
    str,
    _matching(r"[A-Za-z0-9_.-]{1,200}", "is not the name of a connection of Airflow's: write that, never a key itself"),
]
Address = Annotated[str, _address_of(None)]
Address4 = Annotated[str, _address_of(4)]
Address6 = Annotated[str, _address_of(6)]
ZoneName = Annotated[str, Read(_zone, {"type": "string"})]
Host = Annotated[str, Read(_host, {"type": "string"})]
Whole = Annotated[int, Read(_whole, {"type": "integer", "minimum": 1})]
Size = Annotated[
    int,
    Read(_size, {"type": ["string", "integer"], "pattern": f"^{_SIZE}$", "minimum": 1}),
    PlainSerializer(_size_text, return_type=str),
]
Money = Annotated[
    Decimal,
    Read(_money, {"type": ["string", "number"], "pattern": f"^{_MONEY}$", "minimum": 0}),
    PlainSerializer(str, return_type=str),
]
Day = Annotated[date, Read(_day, {"type": "string", "format": "date"})]
