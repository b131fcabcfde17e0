"""What only the host's ops see: the queue, and campaigns."""

from __future__ import annotations

from collections import Counter

import psycopg
from fastapi import APIRouter

from include import registry
from include.registry import states
from transhumance_airflow.api import models
from transhumance_airflow.api.database import Registry
from transhumance_airflow.api.routes import operation

router = APIRouter(tags=["ops"])


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
