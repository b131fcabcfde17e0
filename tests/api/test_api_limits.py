"""How much one caller may ask for: whatever names they act for, nobody's calls take what is others'."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager, ExitStack, suppress

import pytest
from limits.storage import MemoryStorage

from tests.api import callers
from tests.api.world import Api
from transhumance_airflow.api import auth, streams
from transhumance_airflow.api.problems import Problem


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test reaches soon, in the proportions of the true ones."""
    from limits import RateLimitItemPerMinute

    for name, amount in (("CALLS", 30), ("ACTIONS", 5), ("REFUSED", 30), ("IN_ALL", 100)):
        monkeypatch.setattr(auth, name, RateLimitItemPerMinute(amount, namespace=name))


def codes(api: Api, times: int, user: str = "panel", customer: str = "customer-1") -> Counter[int]:
    return Counter(api.get("/servers", user=user, customer=customer.format(n=n)).status_code for n in range(times))


def counted(api: Api) -> set[str]:
    """Whose calls the limits have seen."""
    assert isinstance(auth.limiter.storage, MemoryStorage)
    return set(auth.limiter.storage.events)


def test_an_unknown_customer_is_not_there_and_nothing_is_counted_for_it(api: Api) -> None:
    answer = api.get("/servers", customer="nobody-known")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:transhumance:problem:not-found")
    assert counted(api) and not [key for key in counted(api) if "nobody-known" in key]
    for path in ("/stream", "/events", "/openapi.json"):
        assert api.get(path, customer="nobody-known").status_code == 404
    assert api.post("/webhooks/replay", {"after": 0}, customer="nobody-known").status_code == 404
    assert api.runs.started == {} and streams._open.total() == 0


def test_made_up_customers_do_not_help(api: Api) -> None:
    assert codes(api, 40, "viewer", "made-up-{n}") == {404: 30, 429: 10}
    assert codes(api, 5, "viewer") == {200: 5}, "what is not refused is counted apart"
    assert codes(api, 5) == {200: 5}


def test_calls_without_the_right_are_counted(api: Api) -> None:
    assert codes(api, 40, "nobody") == {403: 30, 429: 10}
    assert codes(api, 1) == {200: 1}


def test_a_viewer_does_not_use_up_what_the_panel_may_ask_for_a_customer(api: Api) -> None:
    assert codes(api, 40, "viewer") == {200: 30, 429: 10}
    assert codes(api, 30) == {200: 30}


def test_a_caller_has_a_bound_over_all_customers(api: Api) -> None:
    auth.limiter.storage.reset()
    for customer in ("customer-1", "customer-2"):
        codes(api, 40, customer=customer)
    assert codes(api, 20, customer="made-up-{n}") == {404: 20}
    answer = api.get("/servers", customer="customer-2")
    assert answer.status_code == 429 and "100 calls in a minute by panel" in answer.json()["detail"]
    assert codes(api, 1, "ops", "customer-1") == {200: 1}


def test_a_right_to_read_starts_nothing(api: Api) -> None:
    for user in ("viewer", "tester"):
        answer = api.post("/webhooks/replay", {"after": 0}, user=user)
        assert answer.status_code == 403 and "trigger deliver_events" in answer.json()["detail"]
    assert api.runs.started == {}


def test_streams_are_bounded_for_a_customer_a_user_and_in_all() -> None:
    def opened(user: str, customers: int, times: int) -> int:
        before = streams._open.total()
        for n in range(times):
            with suppress(Problem):
                open_.enter_context(slot(user, f"customer-{n % customers}"))
        return streams._open.total() - before

    def slot(user: str, customer: str) -> AbstractContextManager[None]:
        from contextlib import contextmanager

        return contextmanager(streams.slot)(auth.Caller(callers.User(user), customer))

    with ExitStack() as open_:
        assert opened("viewer", 1, 300) == streams.MOST
        assert opened("viewer", 60, 300) == streams.MOST_OF_A_USER - streams.MOST
        assert opened("panel", 60, 300) == streams.MOST_OF_A_USER
        assert opened("ops", 60, 300) == streams.MOST_IN_ALL - 2 * streams.MOST_OF_A_USER
        assert streams._open.total() <= streams.MOST_IN_ALL
    assert streams._open.total() == 0


def test_threads_of_streams_leave_others_their_own() -> None:
    assert streams._readers.total_tokens < 40, "as many as Starlette has"
