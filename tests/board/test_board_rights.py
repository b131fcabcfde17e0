"""Who may use which route: every route of the board, by everybody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from starlette.routing import Route

from transhumance_airflow.board import PREFIX

ROUTES: dict[tuple[str, str], dict[str, object]] = {
    ("GET", "/"): {},
    ("GET", "/stream"): {},
    ("GET", "/servers/{name}"): {"name": "vps-1"},
    ("GET", "/servers/{name}/stream"): {"name": "vps-1"},
    ("GET", "/servers/{name}/report"): {"name": "vps-1"},
    ("GET", "/tests/{id}/report"): {"id": 1},
    ("POST", "/actions/{action}"): {"action": "resume_transit"},
    ("GET", "/inventory"): {},
    ("POST", "/inventory/{action}"): {"action": "plan"},
}
FOR_OPS = {("GET", "/inventory"), *(route for route in ROUTES if route[0] == "POST")}
NOT_THERE = {("GET", "/servers/{name}/report"), ("GET", "/tests/{id}/report")}
STREAMS = {("GET", "/stream"), ("GET", "/servers/{name}/stream")}


@pytest.fixture(autouse=True)
def short_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that ends after its first look."""
    from transhumance_airflow.board import live

    monkeypatch.setattr(live, "STREAM_SECONDS", 0.05)
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.06)


Asked = tuple[str, str]
"""A route's method and its path."""


def ask(client: TestClient, route: Asked) -> Response:
    method, path = route
    data = {"transit": "transit-7", "document": "{}"} if method == "POST" else None
    return client.request(method, PREFIX + path.format(**ROUTES[route]), data=data)


def test_no_route_is_forgotten() -> None:
    from transhumance_airflow.board.app import app

    routes = [route for route in app.routes if isinstance(route, Route)]
    there = {(method, route.path) for route in routes for method in route.methods or ()}
    assert there == set(ROUTES)


@pytest.mark.parametrize("route", ROUTES)
def test_the_anonymous_see_nothing(client: Callable[[str | None], TestClient], route: Asked) -> None:
    got = ask(client(None), route)
    assert got.status_code == 401
    assert "vps" not in got.text and "transit" not in got.text


def test_a_person_without_a_session_is_led_to_the_login(client: Callable[[str | None], TestClient]) -> None:
    got = client(None).get(PREFIX + "/", headers={"accept": "text/html"})
    assert got.status_code == 303 and "/auth/login" in got.headers["location"]


@pytest.mark.parametrize("route", ROUTES)
def test_who_may_look_may_not_press(client: Callable[[str | None], TestClient], route: Asked) -> None:
    got = ask(client("vera"), route)
    assert got.status_code == (403 if route in FOR_OPS else 404 if route in NOT_THERE else 200)


@pytest.mark.parametrize("route", ROUTES)
def test_ops_may(client: Callable[[str | None], TestClient], route: Asked) -> None:
    got = ask(client("olga"), route)
    assert got.status_code == (404 if route in NOT_THERE else 200)
    assert got.headers["content-type"].startswith(
        "text/event-stream" if route in STREAMS else "text/html" if route not in NOT_THERE else "application/json"
    )


def test_a_token_that_was_made_up_is_no_session(client: Callable[[str | None], TestClient]) -> None:
    one = client(None)
    one.cookies["_token"] = "e30.e30.e30"
    assert one.get(PREFIX + "/").status_code in (401, 403)


def test_only_ops_have_buttons(client: Callable[[str | None], TestClient]) -> None:
    assert "<button" not in client("vera").get(PREFIX + "/").text.replace('<button class="small">Find', "")
    assert "Try again" not in client("vera").get(PREFIX + "/").text
    assert "/actions/move_up" in client("olga").get(PREFIX + "/").text


def test_another_sites_page_cannot_press(client: Callable[[str | None], TestClient]) -> None:
    one = client("olga")
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        got = one.post(PREFIX + "/actions/resume_transit", data={"transit": "transit-7"}, headers=headers)
        assert got.status_code == 403, headers


def test_pages_may_be_framed_by_airflow_only_and_run_no_inline_script(
    client: Callable[[str | None], TestClient],
) -> None:
    got = client("vera").get(PREFIX + "/")
    policy = got.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy and "default-src 'self'" in policy
    assert "script-src" not in policy and "<script>" not in got.text and " onclick" not in got.text


def test_it_stands_in_airflows_navigation(client: Callable[[str | None], TestClient]) -> None:
    got = client("vera").get("/api/v2/plugins")
    views = [view for plugin in got.json()["plugins"] for view in plugin["external_views"]] if got.is_success else []
    from transhumance_board import TranshumanceBoard

    (mine,) = TranshumanceBoard.external_views
    assert mine["destination"] == "nav" and mine["href"] == PREFIX + "/"
    assert not views or any(view["href"] == mine["href"] for view in views)
    assert client(None).get(mine["icon"]).status_code == 200


@pytest.mark.parametrize("route", sorted(STREAMS))
def test_a_viewer_has_a_few_streams_at_a_time(
    client: Callable[[str | None], TestClient], monkeypatch: pytest.MonkeyPatch, route: Asked
) -> None:
    from transhumance_airflow.board.app import _streams

    monkeypatch.setitem(_streams.open, ("vera", None), _streams.of_a_user)
    assert ask(client("vera"), route).status_code == 429
    assert ask(client("olga"), route).status_code == 200
