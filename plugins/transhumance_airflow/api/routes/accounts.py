"""Accounts: where they stand, the migrations open to them, their tests."""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Response

from include import registry
from include.registry import panel
from transhumance_airflow.api import models
from transhumance_airflow.api.actions import Action, action, tried
from transhumance_airflow.api.auth import CallerDep, my_account
from transhumance_airflow.api.database import Registry
from transhumance_airflow.api.idempotency import Key
from transhumance_airflow.api.routes import operation
from transhumance_airflow.api.runs import RunsDep
from transhumance_airflow.api.views import View

router = APIRouter(prefix="/accounts", tags=["accounts"])
MyAccount = Annotated[registry.Account, Depends(my_account)]


@router.get("", operation_id="accounts", **operation("read"))
def accounts(
    caller: CallerDep, conn: Registry, runs: RunsDep, after: models.Behind = "", limit: models.Limit = 100
) -> models.Accounts:
    """The customer's accounts, and where each stands; for ops everybody's."""
    found = panel.accounts_of_customer(conn, caller.customer, after, limit)
    return models.Accounts(
        accounts=View(conn, runs).accounts(found), next=found[-1].name if len(found) == limit else None
    )


@router.get("/{account}", operation_id="account", **operation("read", 404))
def account(account: MyAccount, conn: Registry, runs: RunsDep) -> models.Account:
    """Where an account stands: where it lives, what it waits for, and its move."""
    return View(conn, runs).account(account)


@router.post("/{account}/perform", operation_id="perform", **action("perform"))
def perform(
    account: MyAccount,
    body: models.Perform,
    key: Key,
    caller: CallerDep,
    conn: Registry,
    runs: RunsDep,
    response: Response,
) -> models.Request:
    """Perform an account, in whichever order. Of a dedicated server or VPS: it moves to the transit (a run of
    move_account)."""
    asked = Action(runs, response, caller, key, "perform", account.name, body)
    return asked.once(lambda: _performed(conn, account, body, caller.name), f"accounts/{account.name}")


def _performed(
    conn: psycopg.Connection, account: registry.Account, body: models.Perform, by: str
) -> tuple[str, dict[str, Any]]:
    """The run that performs the account, unless the registry refuses it."""
    migration = registry.migration_of(conn, account.home_server)
    if migration is None or migration.transit is None:
        raise registry.Refused(
            f"Server {account.home_server} of account {account.name} has no transit: ask for one, and wait until it is "
            "handed over."
        )
    with tried(conn):
        registry.begin_move(conn, account.name, migration.transit, f"tried-{account.name}", by)
    wait = body.longest_wait_seconds
    return "move_account", {
        "account": account.name,
        "to_server": migration.transit,
        "longest_wait_seconds": wait,
    }
