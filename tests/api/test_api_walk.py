"""Every route, called by every kind of caller: a new route is in it by itself, and must say what it needs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.routing import APIRoute

from tests.api import callers
from tests.api.routes import BODIES, NEEDS, ROUTES
from tests.api.world import Api, serving, with_test
from tests.registry import host
from transhumance_airflow.api import auth, streams
from transhumance_airflow.api.routes import ops

PATHS = [pytest.param(*each, id=f"{each[1]} {each[2].path}") for each in ROUTES]
_keys = itertools.count(1)


@dataclass
class Walk:
    """The API, with something of customer-1 behind every address."""

    api: Api
    named: dict[str, str]

    def path(self, path: str, **others: str) -> str:
        """The path to something of customer-1, or to `others`."""
        for name, value in {**self.named, **others}.items():
            path = path.replace(f"{{{name}}}", value)
        return path

    def call(self, operation: str, method: str, path: str, user: str | None, customer: str | None) -> Any:
        """One call, everything right about it but perhaps who calls."""
        headers = callers.headers(user, customer, f"walk-{next(_keys):08}")
        return self.api.client.request(method, path, headers=headers, json=BODIES.get(operation))


@pytest.fixture(scope="module")
def walk(new_registry: Callable[[], str]) -> Iterator[Walk]:
    """Streams end at once, and nobody calls too often."""
    with pytest.MonkeyPatch.context() as monkeypatch, serving(new_registry(), monkeypatch) as api:
        monkeypatch.setattr(streams, "LIFETIME_SECONDS", 0)
        monkeypatch.setattr(auth, "_count", lambda *_: None)
        monkeypatch.setattr(ops.registry, "campaigns", lambda _: [], raising=False)
        test = with_test(api.conn, "a1-1")
        host.handed_over(api.conn, 1)
        asked = api.post("/accounts/a1-1/perform", {}).json()["id"]
        yield Walk(api, {"server": "vps-1", "account": "a1-1", "test": str(test.id), "request": asked})


def test_every_route_is_known_with_its_permission() -> None:
    known = {operation: (route.openapi_extra or {}).get("x-permission") for operation, _, route in ROUTES}
    assert known == NEEDS


@pytest.mark.parametrize(("operation", "method", "route"), PATHS)
def test_the_anonymous_get_no_further_than_health(walk: Walk, operation: str, method: str, route: APIRoute) -> None:
    answer = walk.call(operation, method, walk.path(route.path), None, "customer-1")
    assert answer.status_code == (200 if NEEDS[operation] is None else 401)
    if NEEDS[operation] is not None:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["type"] == "urn:transhumance:problem:no-token"


@pytest.mark.parametrize("user", sorted(callers.RIGHTS))
@pytest.mark.parametrize(("operation", "method", "route"), PATHS)
def test_who_lacks_the_permission_is_told_so_and_who_has_it_is_not(
    walk: Walk, operation: str, method: str, route: APIRoute, user: str
) -> None:
    ops_only = NEEDS[operation] == "ops"
    answer = walk.call(operation, method, walk.path(route.path), user, None if ops_only else "customer-1")
    allowed = NEEDS[operation] is None or NEEDS[operation] in callers.ALLOWED[user]
    assert (answer.status_code != 403) == allowed, answer.text
    assert answer.status_code < 500, answer.text
    if not allowed:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert re.fullmatch(rf"{user} may not .+\.", answer.json()["detail"])


@pytest.mark.parametrize(("operation", "method", "route"), PATHS)
def test_without_a_customer_only_ops_get_through(walk: Walk, operation: str, method: str, route: APIRoute) -> None:
    for user in callers.RIGHTS:
        answer = walk.call(operation, method, walk.path(route.path), user, None)
        assert (answer.status_code != 403) == (user == "ops" or NEEDS[operation] is None), (user, answer.text)


@pytest.mark.parametrize(("operation", "method", "route"), PATHS)
def test_what_is_another_customers_is_not_there(walk: Walk, operation: str, method: str, route: APIRoute) -> None:
    before = dict(walk.api.runs.started)
    answer = walk.call(operation, method, walk.path(route.path), "panel", "customer-2")
    if NEEDS[operation] == "ops":
        assert answer.status_code == 403
    elif "{" not in route.path:
        assert answer.status_code in (200, 202), answer.text
        if operation != "document":
            assert not re.search(r"vps-1|a1-|transit-1|customer-1", answer.text)
    else:
        assert answer.status_code == 404, answer.text
        never = {"server": "vps-9", "account": "a9-9", "request": "9" * 24}
        unknown = walk.call(operation, method, walk.path(route.path, **never), "panel", "customer-2")
        known = "|".join(re.escape(name) for name in (*walk.named.values(), *never.values()) if len(name) > 2)
        assert re.sub(known, "X", answer.text) == re.sub(known, "X", unknown.text)
        assert walk.api.runs.started == before
