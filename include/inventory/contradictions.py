"""What a document says twice, or refers to without saying it."""

from __future__ import annotations

from collections.abc import Iterator

from include.inventory.document import Inventory, Server
from include.registry.kinds import ONE_CUSTOMERS

Place = tuple[str | int, ...]


def contradictions(document: Inventory) -> Iterator[tuple[Place, str]]:
    """Where each is, and what is wrong there."""
    for section in Inventory.model_fields:
        yield from _twice(section, [part.name for part in getattr(document, section)])
    for number, plan in enumerate(document.plans):
        days = set()
        for order, price in enumerate(plan.prices):
            if price.begins in days:
                yield ("plans", number, "prices", order), "is from the same day as another price: leave one of them"
            days.add(price.begins)
    yield from _references(document)
    yield from _addresses(document)


def _twice(section: str, names: list[str]) -> Iterator[tuple[Place, str]]:
    before: set[str] = set()
    for number, name in enumerate(names):
        if name in before:
            yield (section, number, "name"), f"{name} is in {section} twice: give each a name of its own"
        before.add(name)


def _references(document: Inventory) -> Iterator[tuple[Place, str]]:
    named = {
        "plan": {plan.name for plan in document.plans},
        "site": {site.name for site in document.sites},
        "customer": {customer.name for customer in document.customers},
    }
    for number, server in enumerate(document.servers):
        for field, names in named.items():
            name = getattr(server, field)
            if name is not None and name not in names:
                yield ("servers", number, field), f"{name} is not in {field}s: add it there, or correct it here"
        if document.sites and server.site is None:
            yield ("servers", number), "has no site, and others have: add it"
        if server.kind in ONE_CUSTOMERS and server.customer is None:
            yield ("servers", number), f"is a {server.kind} server without a customer: add whose it is"
        if server.kind not in ONE_CUSTOMERS and server.customer is not None:
            place = ("servers", number, "customer")
            yield place, f"is given, but a {server.kind} server is no one customer's: remove it"


def _addresses(document: Inventory) -> Iterator[tuple[Place, str]]:
    owners: dict[str, str] = {}
    for number, server in enumerate(document.servers):
        addresses = _of(server)
        for field, address in addresses:
            owner = owners.get(address, server.name)
            if owner != server.name:
                place = ("servers", number, field)
                yield place, f"{address} is an address of {owner} too: give each server its own"
        service = [address for field, address in addresses if field == "service_addresses"]
        for address in sorted({address for address in service if service.count(address) > 1}):
            yield ("servers", number, "service_addresses"), f"{address} is there twice: leave it once"
        for _, address in addresses:
            owners.setdefault(address, server.name)


def _of(server: Server) -> list[tuple[str, str]]:
    """Each address with the field that has it."""
    fields = ("management_address", "lan_address", "lan_address6")
    single = [(field, getattr(server, field)) for field in fields if getattr(server, field) is not None]
    return [*single, *(("service_addresses", address) for address in server.service_addresses)]
