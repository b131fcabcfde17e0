"""Accounts: where they stand, the migrations open to them, their tests."""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import HTMLResponse

from include import compatibility, registry
from include.panel import rules
from include.registry.queries import panel
from transhumance_airflow.api import models
from transhumance_airflow.api.actions import Action, action, refuse_lifting
from transhumance_airflow.api.auth import CallerDep, my_account
from transhumance_airflow.api.database import Registry
from transhumance_airflow.api.idempotency import Key
from transhumance_airflow.api.problems import Problem
from transhumance_airflow.api.routes import operation
from transhumance_airflow.api.runs import RunsDep
from transhumance_airflow.api.views import View

router = APIRouter(prefix="/accounts", tags=["accounts"])
MyAccount = Annotated[registry.Account, Depends(my_account)]
TestId = Annotated[int, Path(ge=1, le=2**53, description="The test's id.")]

NO_SCRIPTS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
}
"""The report quotes a customer's files, and is shown on Airflow's own address."""


@router.get("", operation_id="accounts", **operation("read"))
def accounts(
    caller: CallerDep, conn: Registry, runs: RunsDep, after: models.Behind = "", limit: models.Limit = 100
) -> models.Accounts:
    """The customer's accounts, and where each stands; for ops everybody's."""
    found = panel.accounts_of_customer(conn, caller.customer, after, limit)
    return models.Accounts(
        accounts=View(conn, runs).accounts(found), next=found[-1].name if len(found) == limit else None
    )


@router.get("/{account}", operation_id="account", **operation("read"))
def account(account: MyAccount, conn: Registry, runs: RunsDep) -> models.Account:
    """Where an account stands: where it lives, what it waits for, and its move."""
    return View(conn, runs).account(account)


@router.get("/{account}/migrations", operation_id="open_migrations", **operation("read"))
def open_migrations(account: MyAccount, conn: Registry, runs: RunsDep) -> models.OpenMigrations:
    """The migrations that are open to an account: their pages, what becomes incompatible, their deadlines, and how its
    newest test of each went."""
    return View(conn, runs).open_to(account)


@router.post("/{account}/tests", operation_id="test", **action("test"))
def test(
    account: MyAccount,
    body: models.StartTest,
    key: Key,
    caller: CallerDep,
    conn: Registry,
    runs: RunsDep,
    response: Response,
) -> models.Request:
    """Test an account: a copy of it on the new version, with an address of its own, and a report. The account itself
    serves on; an earlier copy is replaced. A run of test_account."""
    asked = Action(runs, conn, response, caller, key, "test", account.name, body)
    return asked.once(
        lambda: rules.to_test(conn, account.name, body.entry, caller.name), f"accounts/{account.name}/tests"
    )


@router.get("/{account}/tests", operation_id="tests", **operation("read"))
def tests(account: MyAccount, conn: Registry, runs: RunsDep) -> models.Tests:
    """An account's tests, newest first: their addresses, until when they stay, and what came of them."""
    view = View(conn, runs)
    return models.Tests(tests=[view.test(one) for one in registry.tests_of(conn, account.name)])


@router.get("/{account}/tests/{test}", operation_id="one_test", **operation("read"))
def one_test(account: MyAccount, test: TestId, conn: Registry, runs: RunsDep) -> models.Test:
    """One test."""
    return View(conn, runs).test(_test(conn, account, test))


@router.get("/{account}/tests/{test}/report", operation_id="report", **operation("read", 409))
def report(account: MyAccount, test: TestId, conn: Registry) -> models.Report:
    """The compatibility report of a test: what was found, where, and what to do. It stays when the copy is gone."""
    return models.Report(**_report(conn, account, test))


@router.get(
    "/{account}/tests/{test}/report.html",
    operation_id="report_page",
    response_class=HTMLResponse,
    **operation("read", 409),
)
def report_page(account: MyAccount, test: TestId, conn: Registry) -> HTMLResponse:
    """The same report as a page, to be shown to the customer as it is."""
    return HTMLResponse(compatibility.report_page(_report(conn, account, test)), headers=NO_SCRIPTS)


def _test(conn: psycopg.Connection, account: registry.Account, id: int) -> registry.Test:
    found = next((one for one in registry.tests_of(conn, account.name) if one.id == id), None)
    if found is None:
        raise Problem("not-found", f"Account {account.name} has no test {id}: see its tests.")
    return found


def _report(conn: psycopg.Connection, account: registry.Account, id: int) -> dict[str, Any]:
    found = _test(conn, account, id)
    if found.report is None:
        raise Problem("wrong-state", f"Test {id} of {account.name} has no report yet: wait until it is ready.")
    return found.report


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
    """Perform an account. Of a dedicated server or VPS, in whichever order: it moves to the transit (a run of
    move_account). Of a shared server: it moves to a server of the new version, for good (a run of migrate_account).
    Visitors notice nothing; the customer stops nothing."""
    refuse_lifting(caller, body.lift_gate_because)
    asked = Action(runs, conn, response, caller, key, "perform", account.name, body)
    how = body.entry, body.longest_wait_seconds, body.lift_gate_because
    return asked.once(lambda: rules.to_perform(conn, account, caller.name, *how), f"accounts/{account.name}")
