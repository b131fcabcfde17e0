"""What only the host's ops see and do: the queue, campaigns, the inventory, what on a server is no account's."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Annotated

import psycopg
from fastapi import APIRouter, Depends

from include import registry
from include.inventory import difference, text
from include.inventory.stored import stored
from include.registry import states
from transhumance_airflow.api import models
from transhumance_airflow.api.auth import CallerDep
from transhumance_airflow.api.database import Registry
from transhumance_airflow.api.problems import Problem
from transhumance_airflow.api.routes import operation

router = APIRouter(tags=["ops"])


def any_server(server: models.ServerName, conn: Registry) -> registry.Server:
    """A server of any kind, transits as well."""
    try:
        return registry.server(conn, server)
    except registry.RegistryRefused as refusal:
        raise Problem("not-found", str(refusal)) from None


AnyServer = Annotated[registry.Server, Depends(any_server)]


@router.get("/queue", operation_id="queue", **operation("ops"))
def queue(conn: Registry) -> models.Queue:
    """Everybody who waits for a transit, first one first. Places are by plan."""
    waiting = []
    for request in registry.waiting(conn):
        place = registry.place_in_queue(conn, request.migration)
        if place is None:
            continue  # it was served meanwhile
        server = registry.server(conn, registry.migration(conn, request.migration).server)
        waiting.append(
            models.QueueEntry(
                place=place.place,
                of=place.of,
                expected=place.estimate,
                server=server.name,
                customer=server.customer,
                plan=request.plan,
                migration=request.migration,
                asked_for_at=request.requested_at,
            )
        )
    return models.Queue(waiting=waiting)


@router.get("/campaigns", operation_id="campaigns", **operation("ops"))
def campaigns(conn: Registry) -> models.Campaigns:
    """Campaigns, newest first, with how many of their accounts are how far."""
    return models.Campaigns(campaigns=[_campaign(conn, one) for one in registry.list_campaigns(conn)])


@router.get("/inventory", operation_id="inventory", **operation("ops", 409))
def inventory(conn: Registry) -> models.InventoryDocument:
    """What the host has: sites, plans and prices, customers, servers, zones. The document can be sent back as it is."""
    return models.InventoryDocument(document=text.write(stored(conn)))


@router.post("/inventory", operation_id="apply_inventory", **operation("ops", 409))
def apply_inventory(body: models.ApplyInventory, caller: CallerDep, conn: Registry) -> models.InventoryChanges:
    """Compare a document with what the registry knows, and make it so where `apply` says so: all of it, or, where a
    part is refused, nothing. The same document again changes nothing."""
    try:
        changes = difference.plan_or_apply(conn, body.document, body.apply, caller.name)
    except text.InventoryError as error:
        raise Problem("bad-request", str(error)) from None
    return models.InventoryChanges(
        applied=body.apply,
        sentence=difference.summary(changes),
        changes=[models.InventoryChange(**asdict(change), line=change.line) for change in changes],
    )


def _campaign(conn: psycopg.Connection, one: registry.Campaign) -> models.Campaign:
    accounts = registry.campaign_accounts(conn, one.id)
    return models.Campaign(
        id=one.id,
        entry=one.entry,
        state=one.state,
        requested_by=one.requested_by,
        why=one.why,
        began_at=one.began_at,
        ended_at=one.ended_at,
        accounts=Counter(each.state for each in accounts),
        not_moved={each.account: each.reason for each in accounts if each.state in states.NOT_MOVED and each.reason},
    )


@router.get("/servers/{server}/unclaimed", operation_id="unclaimed", **operation("ops", 404))
def unclaimed(server: AnyServer, conn: Registry) -> models.UnclaimedThings:
    """What lives on the server and is no account's, as it was when the whole server was looked at last: when its
    migration was to begin, before its reroute, before it is erased."""
    found = registry.unclaimed_of(conn, server.name)
    return models.UnclaimedThings(unclaimed=[_unclaimed(one) for one in found])


@router.post("/servers/{server}/unclaimed/sign", operation_id="sign", **operation("ops", 404, 409))
def sign(server: AnyServer, body: models.Sign, caller: CallerDep, conn: Registry) -> models.Unclaimed:
    """Answer for one of these things, with a reason: it may stay behind, and be lost with the reinstallation. Can be
    repeated; who has signed first stays."""
    return _unclaimed(registry.sign_unclaimed(conn, server.name, body.kind, body.name, body.reason, caller.name))


def _unclaimed(one: registry.Unclaimed) -> models.Unclaimed:
    return models.Unclaimed(**{key: value for key, value in asdict(one).items() if key != "server"})
