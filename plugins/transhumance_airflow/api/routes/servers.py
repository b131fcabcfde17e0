"""Servers: where they stand, their transit, what it costs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from include import billing, registry
from include.panel import rules
from include.registry.queries import panel
from transhumance_airflow.api import models
from transhumance_airflow.api.actions import Action, action, refuse_lifting
from transhumance_airflow.api.auth import CallerDep, my_server
from transhumance_airflow.api.database import Registry
from transhumance_airflow.api.idempotency import Key
from transhumance_airflow.api.problems import Problem
from transhumance_airflow.api.routes import operation
from transhumance_airflow.api.runs import RunsDep
from transhumance_airflow.api.views import View

router = APIRouter(prefix="/servers", tags=["servers"])
MyServer = Annotated[registry.Server, Depends(my_server)]


@router.get("", operation_id="servers", **operation("read"))
def servers(
    caller: CallerDep, conn: Registry, runs: RunsDep, after: models.Behind = "", limit: models.Limit = 100
) -> models.Servers:
    """The customer's servers, and where each stands; for ops everybody's."""
    found = panel.servers_with_accounts(conn, caller.customer, after, limit)
    return models.Servers(servers=View(conn, runs).servers(found), next=found[-1].name if len(found) == limit else None)


@router.get("/{server}", operation_id="server", **operation("read"))
def server(server: MyServer, conn: Registry, runs: RunsDep) -> models.Server:
    """Where a server stands: its migration with every step, its transit, and each of its accounts."""
    return View(conn, runs).server(server)


@router.get("/{server}/transit", operation_id="transit", **operation("read", 409))
def transit(server: MyServer, conn: Registry, runs: RunsDep) -> models.Transit:
    """The server's transit: the place in the queue, then the hand-over, then the countdown of the free days."""
    live = registry.migration_of(conn, server.name)
    found = None if live is None else View(conn, runs).transit(live)
    if found is None:
        raise Problem("wrong-state", f"No transit was asked for server {server.name}: ask for one first.")
    return found


@router.get("/{server}/charges", operation_id="charges", **operation("billing", 409))
def charges(server: MyServer, conn: Registry) -> models.Charges:
    """What the transit of the server's newest migration has cost, and what it will have cost, by the day on which the
    last account leaves the server. Amounts are decimal strings."""
    migration = panel.last_migration_of(conn, server.name)
    lease = migration and registry.lease_of(conn, migration.id)
    if lease is None:
        raise Problem("wrong-state", f"Server {server.name} has no transit yet: nothing is charged before one.")
    outlook = billing.forecast(conn, lease.id)
    entered = billing.entries_of(conn, lease.id)
    return models.Charges(
        server=server.name,
        sentence=outlook.sentence(),
        currency=outlook.currency,
        free_until=outlook.free_until,
        charged=sum((entry.amount for entry in entered), outlook.costs[0].total * 0),
        charges=[
            models.Charge(
                day=entry.day, kind=entry.kind, amount=entry.amount, currency=entry.currency, reason=entry.reason
            )
            for entry in entered
        ],
        forecast=[models.Cost(finish_on=cost.finish_on, total=cost.total) for cost in outlook.costs],
    )


@router.post("/{server}/transit", operation_id="ask_for_transit", **action("perform"))
def ask_for_transit(
    server: MyServer,
    body: models.AskForTransit,
    key: Key,
    caller: CallerDep,
    conn: Registry,
    runs: RunsDep,
    response: Response,
) -> models.Request:
    """Ask for a transit: the server's migration begins, and the request takes its place in the queue. A run of
    migrate_server. Refused while an account was not tested for it."""

    refuse_lifting(caller, body.lift_gate_because)
    asked = Action(runs, conn, response, caller, key, "ask", server.name, body)
    return asked.once(
        lambda: rules.to_ask(conn, server.name, body.entry, caller.name, body.lift_gate_because),
        f"servers/{server.name}",
    )


@router.post("/{server}/cancel", operation_id="cancel", **action("perform"))
def cancel(
    server: MyServer,
    body: models.Cancel,
    key: Key,
    caller: CallerDep,
    conn: Registry,
    runs: RunsDep,
    response: Response,
) -> models.Request:
    """Cancel the server's migration: its request leaves the queue, its transit is given back. A run of
    manage_transits. Refused once an account was performed."""

    asked = Action(runs, conn, response, caller, key, "cancel", server.name, body)
    return asked.once(lambda: rules.to_cancel(conn, server.name, body.reason, caller.name), f"servers/{server.name}")
