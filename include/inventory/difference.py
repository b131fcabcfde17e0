"""What has to change in the registry for it to say what a document says.

A plan is an application that is undone: each change is made by the registry's own functions, whose guards refuse what
cannot be, and then everything is taken back. So a plan says what would happen, because it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from include import registry
from include.inventory import document as wanted_of
from include.inventory.document import Inventory
from include.inventory.stored import stored
from include.inventory.text import read
from include.registry import queue
from include.registry.database import names

ADD, CHANGE, REMOVE, KEEP = "add", "change", "remove", "keep"


@dataclass(frozen=True)
class Change:
    """One thing that would be done, or was; `refused` is the sentence that says why it cannot be."""

    verb: str
    subject: str
    detail: str
    refused: str | None = None

    @property
    def line(self) -> str:
        """It in one line."""
        done = f"{self.verb} {self.subject}{f': {self.detail}' if self.detail else ''}"
        return f"refuse to {done}: {self.refused}" if self.refused else done


@dataclass(frozen=True)
class _Step:
    change: Change
    calls: tuple[Callable[[psycopg.Connection], Any], ...] = ()

    def take(self, conn: psycopg.Connection) -> None:
        with conn.transaction():
            for call in self.calls:
                call(conn)


def plan(conn: psycopg.Connection, document: Inventory, by: str) -> list[Change]:
    """What applying the document would do; nothing is changed."""
    with conn.transaction(force_rollback=True):
        return _take_all(conn, document, by)


def apply(conn: psycopg.Connection, document: Inventory, by: str) -> list[Change]:
    """Make the registry say what the document says; gives what was done. Refused as a whole, with nothing changed,
    where a part of it cannot be."""
    with conn.transaction():
        changes = _take_all(conn, document, by)
        refused = [f"{change.subject}: {change.refused}" for change in changes if change.refused]
        if refused:
            more = f" (and {len(refused) - 5} more)" if len(refused) > 5 else ""
            raise registry.RegistryRefused(f"Nothing was applied. {' '.join(refused[:5])}{more}")
    return changes


def _take_all(conn: psycopg.Connection, document: Inventory, by: str) -> list[Change]:
    """Every step; one that is refused is tried again after the others, since what was in its way may be gone then."""
    queue.lock(conn)
    steps = list(_steps(stored(conn), document, conn, by))
    refused: dict[int, str] = {}
    waiting = list(range(len(steps)))
    while True:
        for number in waiting:
            try:
                steps[number].take(conn)
                refused.pop(number, None)
            except registry.RegistryRefused as refusal:
                refused[number] = str(refusal)
        if len(refused) in (0, len(waiting)):
            break
        waiting = sorted(refused)
    return [
        Change(step.change.verb, step.change.subject, step.change.detail, refused.get(number))
        for number, step in enumerate(steps)
    ]


def _steps(before: Inventory, after: Inventory, conn: psycopg.Connection, by: str) -> Iterator[_Step]:
    """In an order in which one seldom waits for another."""
    sites, plans, customers, servers, zones = (
        _Section(getattr(before, section), getattr(after, section)) for section in Inventory.model_fields
    )
    for site in sites.added:
        yield _step(ADD, f"site {site.name}", "", partial(registry.add_site, name=site.name, by=by))
    for plan in plans.added:
        yield _add_plan(plan, by)
    for old, new in plans.kept:
        yield from _change_plan(old, new, by)
    for customer in customers.added:
        yield _set_customer(ADD, customer, by)
    for old, new in customers.kept:
        if old != new:
            yield _set_customer(CHANGE, new, by)
    for old, new in servers.kept:
        yield from _change_server(conn, old, new, by)
    for server in servers.gone:
        yield _step(REMOVE, f"server {server.name}", "", partial(registry.remove_server, name=server.name, by=by))
    for server in servers.added:
        yield _add_server(server, by)
    yield from _addresses(before, after, by)
    for zone in zones.added:
        yield _set_zone(ADD, zone, by)
    for old, new in zones.kept:
        if old != new:
            yield _set_zone(CHANGE, new, by)
    for zone in zones.gone:
        yield _step(REMOVE, f"zone {zone.name}", "", partial(registry.remove_zone, name=zone.name, by=by))
    for customer in customers.gone:
        remove = partial(registry.remove_customer, customer=customer.name, by=by)
        yield _step(REMOVE, f"customer {customer.name}", "", remove)
    for plan in plans.gone:
        yield _step(REMOVE, f"plan {plan.name}", "", partial(registry.withdraw_plan, name=plan.name, by=by))
    for site in sites.gone:
        yield _step(REMOVE, f"site {site.name}", "", partial(registry.remove_site, name=site.name, by=by))


class _Section:
    """The parts of a section that come, stay (as they were, as they shall be) and go."""

    def __init__(self, before: tuple[Any, ...], after: tuple[Any, ...]) -> None:
        old, new = ({part.name: part for part in parts} for parts in (before, after))
        self.added = [part for name, part in new.items() if name not in old]
        self.kept = [(old[name], part) for name, part in new.items() if name in old]
        self.gone = [part for name, part in old.items() if name not in new]


def _step(verb: str, subject: str, detail: str, *calls: Callable[..., Any]) -> _Step:
    return _Step(Change(verb, subject, detail), calls)


def _add_plan(plan: wanted_of.Plan, by: str) -> _Step:
    first, *later = plan.prices
    add = partial(
        registry.add_plan,
        name=plan.name,
        monthly_price=first.monthly,
        currency=first.currency,
        cpus=plan.cpus,
        memory_bytes=plan.memory,
        disk_bytes=plan.disk,
        later=[registry.Price(price.monthly, price.currency, price.begins) for price in later],
        by=by,
    )
    return _step(ADD, f"plan {plan.name}", ", ".join(map(_price, plan.prices)), add)


def _price(price: wanted_of.Price) -> str:
    begins = "" if price.begins == registry.FIRST_DAY else f" from {price.begins}"
    return f"{price.monthly} {price.currency} a month{begins}"


def _change_plan(old: wanted_of.Plan, new: wanted_of.Plan, by: str) -> Iterator[_Step]:
    subject = f"plan {new.name}"
    size = [_was(field, old, new) for field in ("cpus", "memory", "disk") if getattr(old, field) != getattr(new, field)]
    if size:
        yield _step(CHANGE, subject, "; ".join(size), _add_plan(new, by).calls[0])
    before, after = ({price.begins: price for price in plan.prices} for plan in (old, new))
    for day in before.keys() - after.keys():
        withdraw = partial(registry.withdraw_price, plan=new.name, valid_from=day, by=by)
        yield _step(REMOVE, subject, _price(before[day]), withdraw)
    for day, price in after.items():
        if before.get(day) != price:
            set_price = partial(
                registry.set_price,
                plan=new.name,
                monthly_price=price.monthly,
                currency=price.currency,
                valid_from=day,
                by=by,
            )
            yield _step(CHANGE if day in before else ADD, subject, _price(price), set_price)


def _set_customer(verb: str, customer: wanted_of.Customer, by: str) -> _Step:
    call = partial(registry.set_customer_mail, customer=customer.name, mail=customer.mail, by=by)
    return _step(verb, f"customer {customer.name}", f"mail {customer.mail or 'none'}", call)


def _set_zone(verb: str, zone: wanted_of.Zone, by: str) -> _Step:
    detail = f"at {zone.primary_server}, with the key of connection {zone.key_connection}"
    return _step(verb, f"zone {zone.name}", detail, partial(registry.set_zone, **zone.model_dump(), by=by))


def _add_server(server: wanted_of.Server, by: str) -> _Step:
    whose = f" of {server.customer}" if server.customer else ""
    where = f" in {server.site}" if server.site else ""
    detail = f"{server.kind}{whose}{where}, plan {server.plan}, at {server.management_address}"
    fields = {field: getattr(server, field) for field in (*registry.CHANGEABLE, "infrastructure")}
    add = partial(registry.add_server, name=server.name, **fields, by=by)
    calls = [add, partial(registry.state_server, **_stated(server), by=by)] if server.host_key else [add]
    return _step(ADD, f"server {server.name}", detail, *calls)


def _stated(server: wanted_of.Server) -> dict[str, Any]:
    return {"name": server.name, "infrastructure": server.infrastructure, "host_key": server.host_key}


def _change_server(conn: psycopg.Connection, old: wanted_of.Server, new: wanted_of.Server, by: str) -> Iterator[_Step]:
    subject = f"server {new.name}"
    differing = [field for field in registry.CHANGEABLE if getattr(old, field) != getattr(new, field)]
    if differing:
        changes = {field: getattr(new, field) for field in differing}
        detail = "; ".join(_was(field, old, new) for field in differing)
        yield _step(CHANGE, subject, detail, partial(registry.change_server, name=new.name, changes=changes, by=by))
    # A key that enrolment has pinned is not unpinned by a document that leaves it out.
    new = new.model_copy(update={"host_key": new.host_key or old.host_key})
    differing = [field for field in ("infrastructure", "host_key") if getattr(old, field) != getattr(new, field)]
    if not differing:
        return
    detail = "; ".join(_was(field, old, new) for field in differing)
    if registry.server(conn, new.name).enrolled:
        keeps = ", ".join(f"{field.replace('_', ' ')} {_shown(field, old)}" for field in differing)
        yield _step(KEEP, subject, f"{keeps}, as it was enrolled; the document says otherwise")
    else:
        yield _step(CHANGE, subject, detail, partial(registry.state_server, **_stated(new), by=by))


def _was(field: str, old: Any, new: Any) -> str:
    was, becomes = (_shown(field, part) for part in (old, new))
    return f"{field.replace('_', ' ')} {was} becomes {becomes}"


def _shown(field: str, part: Any) -> str:
    shown = part.model_dump(mode="json", include={field})[field]
    return "none" if shown is None else str(shown)


def _addresses(before: Inventory, after: Inventory, by: str) -> Iterator[_Step]:
    """IPs that come, go, and change their server. Those of a server that goes, go with it."""
    old, new = (
        {address: server.name for server in document.servers for address in server.service_addresses}
        for document in (before, after)
    )
    remaining = {server.name for server in after.servers}
    for address, server in old.items():
        if address not in new and server in remaining:
            yield _step(REMOVE, f"IP {address}", f"of {server}", partial(registry.remove_ip, address=address, by=by))
    for address, server in new.items():
        add = partial(registry.add_ip, address=address, server=server, by=by)
        if address not in old:
            yield _step(ADD, f"IP {address}", f"of {server}", add)
        elif old[address] != server:
            remove = partial(registry.remove_ip, address=address, by=by)
            yield _step(CHANGE, f"IP {address}", f"of {old[address]} becomes {server}'s", remove, add)


def plan_or_apply(conn: psycopg.Connection, text: str, to_apply: bool, by: str) -> list[Change]:
    """What `plan` or `apply` gives for a document as it was written."""
    document = read(text)
    return apply(conn, document, by) if to_apply else plan(conn, document, by)


def lines(changes: list[Change]) -> list[str]:
    """Each change in a line, and what they come to."""
    return [*(change.line for change in changes), summary(changes)]


def summary(changes: list[Change]) -> str:
    """How many of each, in a sentence."""
    done = [change.verb for change in changes if change.refused is None]
    counts = {verb: done.count(verb) for verb in (ADD, CHANGE, REMOVE)}
    refused = [change.subject for change in changes if change.refused]
    if not any(counts.values()) and not refused:
        return "There is nothing to do."
    parts = [f"{count} to {verb}" for verb, count in counts.items() if count]
    parts += [f"refused: {names(refused)}"] if refused else []
    return f"{'; '.join(parts)}."
