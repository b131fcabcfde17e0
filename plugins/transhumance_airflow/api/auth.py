"""Who calls, for whom, and what they may do.

The panel authenticates as itself, with a token of Airflow's, and names the customer that it acts for; a call that
names none is one of ops. What somebody may do are rights that Airflow's auth manager knows (see `RIGHTS`), so that
roles are given in one place, whichever auth manager it is.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Annotated, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, Header, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from include import registry
from include.registry.queries import panel
from transhumance_airflow.api import catalogue
from transhumance_airflow.api.database import Registry, registry_connection
from transhumance_airflow.api.models import AccountName, ServerName
from transhumance_airflow.api.problems import Problem

Permission = Literal["read", "test", "perform", "billing", "replay", "ops"]

RIGHTS: dict[Permission, tuple[Literal["GET", "POST"], str, str]] = {
    "read": ("GET", "migrate_server", "read its servers and accounts: ask the host for the right to read DAG runs"),
    "test": ("POST", "test_account", "test accounts: ask the host for the right to trigger test_account"),
    "perform": ("POST", "migrate_server", "perform accounts: ask the host for the right to trigger migrate_server"),
    "billing": ("GET", "bill_transits", "see charges: ask the host for the right to read runs of bill_transits"),
    "replay": ("POST", "deliver_events", "replay events: ask the host for the right to trigger deliver_events"),
    "ops": ("POST", "manage_transits", "act for the host: name a customer in the header Transhumance-Customer"),
}
"""Each permission as a right of Airflow's: the method on the runs of a DAG. And what to say to whom lacks it."""

CALLS = RateLimitItemPerMinute(600, namespace="calls")
ACTIONS = RateLimitItemPerMinute(30, namespace="actions")
REFUSED = RateLimitItemPerMinute(600, namespace="refused")
IN_ALL = RateLimitItemPerMinute(6000, namespace="in all")
limiter = MovingWindowRateLimiter(MemoryStorage())
"""Calls and actions are counted for each customer that a user acts for; what is refused for want of a right, or for a
customer that nobody knows, and everything together, for each user. Counted in this process: with several workers each
counts its own, which bounds what one can do to a worker, and that is what the limits are for."""

_bearer = HTTPBearer(auto_error=False, description="A token of Airflow's, from `POST /auth/token`.")


@dataclass(frozen=True)
class Caller:
    """Who calls: a user of Airflow, and the customer that they act for; None: they act for the host (ops)."""

    user: BaseUser
    customer: str | None

    @property
    def name(self) -> str:
        """Who asks, as runs and the event log keep it: at most 100 characters."""
        user = f"(panel {self.user.get_name()[:40]})"
        return f"{self.customer[: 99 - len(user)]} {user}" if self.customer else f"ops {self.user.get_name()[:90]}"


async def authenticated(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> BaseUser:
    """Airflow's user that the token, or the session of Airflow's UI, belongs to."""
    try:
        return await get_user(request, None, credentials)
    except HTTPException:
        raise Problem(
            "no-token",
            "No valid token came with the call: get one at /auth/token and send it as 'Authorization: Bearer TOKEN'.",
            {"WWW-Authenticate": "Bearer"},
        ) from None


def caller(
    user: Annotated[BaseUser, Depends(authenticated)],
    customer: Annotated[
        str | None,
        Header(
            alias="Transhumance-Customer",
            min_length=1,
            max_length=200,
            description="The customer that the panel acts for, as the registry names them (UTF-8). Without it the "
            "call is one of ops.",
            examples=["Alpine Herders"],
        ),
    ] = None,
) -> Caller:
    """Who calls, for whom."""
    return Caller(user, None if customer is None else _decoded(customer))


def _decoded(header: str) -> str:
    """Headers arrive as Latin-1; a customer's name is UTF-8."""
    try:
        name = header.encode("latin-1").decode("utf-8").strip(" ")
    except UnicodeError:
        name = ""
    if not name or not name.isprintable():
        raise Problem("bad-request", "Transhumance-Customer is not a name in UTF-8: correct the header.")
    return name


CallerDep = Annotated[Caller, Depends(caller)]


class May:
    """A dependency that lets only those through who have the permission, and not too often."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    def __call__(self, request: Request, caller: CallerDep) -> None:
        """Refuses with 403, 404 or 429."""
        user = caller.user.get_id()
        _count(IN_ALL, user, f"calls in a minute by {caller.user.get_name()}")
        try:
            self._let_through(caller)
        except Problem:
            _count(REFUSED, user, f"refused calls in a minute by {caller.user.get_name()}")
            raise
        _count(CALLS, (user, caller.customer), "calls in a minute for this customer")
        if request.method == "POST":
            _count(ACTIONS, (user, caller.customer), "actions in a minute for this customer")

    def _let_through(self, caller: Caller) -> None:
        if caller.customer is None:
            _require(caller, "ops")
        elif self.permission == "ops":
            raise Problem(
                "not-allowed", "This is for the host's ops: leave the header Transhumance-Customer out, if you are one."
            )
        if self.permission != "ops":
            _require(caller, self.permission)
        if caller.customer is not None:
            with registry_connection() as conn:
                known = panel.is_customer(conn, caller.customer)
            if not known:
                raise Problem("not-found", "There is no such customer here: correct the header Transhumance-Customer.")


def _require(caller: Caller, permission: Permission) -> None:
    method, dag_id, sentence = RIGHTS[permission]
    allowed = get_auth_manager().is_authorized_dag(
        method=method, access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id), user=caller.user
    )
    if not allowed:
        raise Problem("not-allowed", f"{caller.user.get_name()} may not {sentence}.")


def _count(limit: RateLimitItem, whose: str | tuple[str, str | None], what: str) -> None:
    """One more of them; refuses with 429 when there are too many."""
    key = repr(whose)
    if limiter.hit(limit, key):
        return
    seconds = max(1, math.ceil(limiter.get_window_stats(limit, key).reset_time - time.time()))
    raise Problem(
        "too-many",
        f"More than {limit.amount} {what}: try again in {seconds} s.",
        {"Retry-After": str(seconds)},
    )


def my_server(server: ServerName, caller: CallerDep, conn: Registry) -> registry.Server:
    """The server, if it is the caller's."""
    catalogue.entries(conn)  # what can be done with it may have changed there
    found = panel.server_of_customer(conn, server, caller.customer)
    if found is None:
        raise Problem(
            "not-found", f"There is no server {server} here: check its name, and the customer that you act for."
        )
    return found


def my_account(account: AccountName, caller: CallerDep, conn: Registry) -> registry.Account:
    """The account, if it is the caller's."""
    catalogue.entries(conn)  # what can be done with it may have changed there
    found = panel.account_of_customer(conn, account, caller.customer)
    if found is None:
        raise Problem(
            "not-found", f"There is no account {account} here: check its name, and the customer that you act for."
        )
    return found
