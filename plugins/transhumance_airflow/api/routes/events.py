"""What happened: as pages, and as a stream to follow live."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from include import registry
from transhumance_airflow.api import models, views
from transhumance_airflow.api.auth import CallerDep, my_account, my_server
from transhumance_airflow.api.database import Registry
from transhumance_airflow.api.routes import operation
from transhumance_airflow.api.streams import LastEventId, Slot, follow

router = APIRouter(tags=["events"])
MyServer = Annotated[registry.Server, Depends(my_server)]
MyAccount = Annotated[registry.Account, Depends(my_account)]


@router.get("/events", operation_id="events", **operation("read"))
def events(caller: CallerDep, conn: Registry, after: models.After = 0, limit: models.Limit = 100) -> models.Events:
    """What happened to everything of the customer, oldest first; for ops, everything."""
    return views.page(views.events(conn, caller, after=after, limit=limit), after)


@router.get("/servers/{server}/events", operation_id="server_events", **operation("read"))
def server_events(
    server: MyServer, caller: CallerDep, conn: Registry, after: models.After = 0, limit: models.Limit = 100
) -> models.Events:
    """What happened to a server and its accounts, oldest first."""
    return views.page(views.events(conn, caller, server=server.name, after=after, limit=limit), after)


@router.get("/accounts/{account}/events", operation_id="account_events", **operation("read"))
def account_events(
    account: MyAccount, caller: CallerDep, conn: Registry, after: models.After = 0, limit: models.Limit = 100
) -> models.Events:
    """What happened to an account, oldest first."""
    return views.page(views.events(conn, caller, account=account.name, after=after, limit=limit), after)


@router.get("/stream", operation_id="stream", response_class=EventSourceResponse, **operation("read"))
async def stream(caller: CallerDep, _: Slot, last: LastEventId = None) -> AsyncIterable[ServerSentEvent]:
    """Follow everything of the customer live; for ops, everything."""
    async for event in follow(caller, last):
        yield event


@router.get(
    "/servers/{server}/stream",
    operation_id="server_stream",
    response_class=EventSourceResponse,
    **operation("read"),
)
async def server_stream(
    server: MyServer, caller: CallerDep, _: Slot, last: LastEventId = None
) -> AsyncIterable[ServerSentEvent]:
    """Follow a server and its accounts live."""
    async for event in follow(caller, last, server=server.name):
        yield event


@router.get(
    "/accounts/{account}/stream",
    operation_id="account_stream",
    response_class=EventSourceResponse,
    **operation("read"),
)
async def account_stream(
    account: MyAccount, caller: CallerDep, _: Slot, last: LastEventId = None
) -> AsyncIterable[ServerSentEvent]:
    """Follow an account live."""
    async for event in follow(caller, last, account=account.name):
        yield event
