"""Every route, called by every kind of caller: a new route is in it by itself, and must say what it needs."""

from __future__ import annotations

import itertools
import re

import pytest

from tests.api import callers
from tests.registry import host
from transhumance_airflow.api import auth, streams
from transhumance_airflow.api.app import make_app

NEEDS = {
    "health": None,
    "document": "read",
    "servers": "read",
    "server": "read",
    "transit": "read",
    "charges": "billing",
    "ask_for_transit": "perform",
    "cancel": "perform",
    "accounts": "read",
    "account": "read",
    "perform": "perform",
    "request": "read",
    "events": "read",
    "server_events": "read",
    "account_events": "read",
    "stream": "read",
    "server_stream": "read",
    "account_stream": "read",
    "replay": "read",
}
"""The permission that each operation needs, said a second time: whoever opens a door has to say so twice."""

BODIES = {
    "ask_for_transit": {"entry": "2026"},
    "cancel": {"reason": "a test"},
    "perform": {},
    "replay": {"after": 0},
}
ROUTES = [(route.operation_id, method, route) for route in make_app().routes for method in sorted(route.methods)]
PATHS = [pytest.param(*each, id=f"{each[1]} {each[2].path}") for each in ROUTES]
_keys = itertools.count(1)


def ours(path: str) -> str:
    """The path to something of customer-1."""
    return path.replace("{server}", "vps-1").replace("{account}", "a1-1").replace("{request}", "0" * 24)


def call(api, operation: str, method: str, path: str, user: str | None, customer: str | None):
    """One call, everything right about it but perhaps who calls."""
    headers = callers.headers(user, customer, f"walk-{next(_keys):08}")
    return api.client.request(method, path, headers=headers, json=BODIES.get(operation))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Streams end at once, and nobody calls too often."""
    monkeypatch.setattr(streams, "LIFETIME_SECONDS", 0)
    monkeypatch.setattr(auth, "_count", lambda *_: None)


def test_every_route_is_known_with_its_permission():
    assert {operation: route.openapi_extra.get("x-permission") for operation, _, route in ROUTES} == NEEDS


@pytest.mark.parametrize(("operation", "method", "route"), PATHS)
def test_the_anonymous_get_no_further_than_health(api, operation, method, route):
    answer = call(api, operation, method, ours(route.path), None, "customer-1")
    assert answer.status_code == (200 if NEEDS[operation] is None else 401)
    if NEEDS[operation] is not None:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["type"] == "urn:transhumance:problem:no-token"


@pytest.mark.parametrize("user", sorted(callers.RIGHTS))
@pytest.mark.parametrize(("operation", "method", "route"), PATHS)
def test_who_lacks_the_permission_is_told_so_and_who_has_it_is_not(api, operation, method, route, user):
    answer = call(api, operation, method, ours(route.path), user, "customer-1")
    allowed = NEEDS[operation] is None or NEEDS[operation] in callers.ALLOWED[user]
    assert (answer.status_code != 403) == allowed, answer.text
    assert answer.status_code < 500, answer.text
    if not allowed:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert re.fullmatch(rf"{user} may not .+\.", answer.json()["detail"])


@pytest.mark.parametrize(("operation", "method", "route"), PATHS)
def test_without_a_customer_only_ops_get_through(api, operation, method, route):
    for user in callers.RIGHTS:
        answer = call(api, operation, method, ours(route.path), user, None)
        assert (answer.status_code != 403) == (user == "ops" or NEEDS[operation] is None), (user, answer.text)


@pytest.mark.parametrize(("operation", "method", "route"), PATHS)
def test_what_is_another_customers_is_not_there(api, operation, method, route):
    migration = host.handed_over(api.conn, 1)
    asked = api.post("/accounts/a1-1/perform", {}).json()
    path = ours(route.path).replace("0" * 24, asked["id"])
    before = dict(api.runs.started)
    answer = call(api, operation, method, path, "panel", "customer-2")
    named = "{" in route.path
    assert answer.status_code == 404 if named else answer.status_code in (200, 202), answer.text
    if named:
        unknown = path.replace("vps-1", "vps-9").replace("a1-1", "a9-9").replace(asked["id"], "9" * 24)
        never = call(api, operation, method, unknown, "panel", "customer-2")
        assert re.sub("vps-1|a1-1|" + asked["id"], "X", answer.text) == re.sub("vps-9|a9-9|9{24}", "X", never.text)
        assert api.runs.started == before
    for name in ("vps-1", "a1-1", "transit-1", f'"migration":{migration}'):
        assert named or name not in answer.text
