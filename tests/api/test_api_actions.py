"""Actions: started once for each key, refused at once with the registry's own sentence, ordinary runs otherwise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from httpx import Response

from include import registry
from tests.api.world import Api, with_test
from tests.registry import host
from transhumance_airflow.api import auth, database
from transhumance_airflow.api.problems import Problem

PROBLEM = "application/problem+json"


def refused(answer: Response, status: int, sentence: str) -> None:
    """The answer is a problem that says the sentence."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, PROBLEM), answer.text
    problem = answer.json()
    assert problem["status"] == status and problem["type"].startswith("urn:transhumance:problem:")
    assert sentence in problem["detail"], problem


def all_tested(api: Api) -> None:
    for account in ("a1-1", "a1-2"):
        with_test(api.conn, account)


def test_a_transit_is_asked_for_once_however_often_the_key_comes(api: Api) -> None:
    all_tested(api)
    first = api.post("/servers/vps-1/transit", {"entry": "2026"}, key="one-and-only")
    assert first.status_code == 202
    asked = first.json()
    assert first.headers["Location"] == f"/transhumance/v1/requests/{asked['id']}"
    assert asked["watch"] == "/transhumance/v1/servers/vps-1"
    assert asked["requested_by"] == "customer-1 (panel panel)"
    assert asked["run"]["dag_id"] == "migrate_server" and asked["run"]["state"] == "queued"
    assert asked["run"]["url"].endswith(f"/dags/migrate_server/runs/{asked['run']['run_id']}")
    again = api.post("/servers/vps-1/transit", {"entry": "2026"}, key="one-and-only")
    assert (again.status_code, again.json()) == (202, asked)
    (conf,) = api.runs.of("migrate_server")
    assert {key: conf[key] for key in ("server", "entry", "requested_by")} == {
        "server": "vps-1",
        "entry": "2026",
        "requested_by": "customer-1 (panel panel)",
    }
    assert conf["panel"]["request"] == asked["id"] and conf["panel"]["customer"] == "customer-1"
    assert api.get(f"/requests/{asked['id']}").json() == asked
    assert registry.migration_of(api.conn, "vps-1") is None, "what was tried was undone"


def test_a_key_is_its_callers_own_and_for_one_request(api: Api) -> None:
    all_tested(api)
    for account in ("a2-1", "a2-2"):
        with_test(api.conn, account)
    first = api.post("/servers/vps-1/transit", {"entry": "2026"}, key="the-same-key")
    other = api.post("/servers/vps-2/transit", {"entry": "2026"}, customer="customer-2", key="the-same-key")
    assert other.status_code == 202 and other.json()["id"] != first.json()["id"]
    refused(api.post("/servers/vps-1/cancel", {"reason": "no"}, key="the-same-key"), 422, "another request")
    refused(api.post("/servers/vps-1/transit", {"entry": "other"}, key="the-same-key"), 422, "another request")


def test_the_gate_refuses_with_its_sentences_and_the_key_may_be_used_again(api: Api) -> None:
    with_test(api.conn, "a1-1", blockers=2)
    answer = api.post("/servers/vps-1/transit", {"entry": "2026"}, key="the-gate-key")
    refused(answer, 409, "The test of account a1-1 for 2026 found 2 blockers: correct it and test again.")
    refused(answer, 409, "Account a1-2 has not been tested for 2026: test it.")
    assert api.runs.started == {}
    copy = registry.certain(registry.replace_test(api.conn, "a1-1", "again"))
    registry.advance_test(api.conn, copy.id, "removed")
    all_tested(api)
    assert api.post("/servers/vps-1/transit", {"entry": "2026"}, key="the-gate-key").status_code == 202


def test_only_ops_lift_the_gate(api: Api) -> None:
    body = {"entry": "2026", "lift_gate_because": "they insist"}
    refused(api.post("/servers/vps-1/transit", body), 403, "Only the host's ops can lift the gate")
    assert api.post("/servers/vps-1/transit", body, user="ops", customer=None).status_code == 202
    assert api.runs.of("migrate_server")[0]["lift_gate_because"] == "they insist"


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/servers/vps-1/transit", {"entry": "no-such"}, "There is no catalogue entry no-such"),
        ("/servers/vps-1/cancel", {"reason": "no"}, "is not being migrated"),
        ("/accounts/a1-1/perform", {}, "has no transit: ask for one"),
        ("/accounts/s1/perform", {}, "is on a shared server: say which migration"),
        ("/accounts/s1/perform", {"entry": "2026"}, "Account s1 has not been tested for 2026: test it."),
        ("/accounts/a1-1/tests", {"entry": "no-such"}, "There is no catalogue entry no-such"),
    ],
)
def test_what_cannot_be_done_now_is_a_conflict(api: Api, path: str, body: dict[str, str], sentence: str) -> None:
    refused(api.post(path, body), 409, sentence)
    assert api.runs.started == {}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/servers/vps-1/transit", {}),
        ("/servers/vps-1/transit", {"entry": "2026", "more": 1}),
        ("/servers/vps-1/transit", {"entry": "../etc"}),
        ("/servers/vps-1/cancel", {"reason": " "}),
        ("/servers/vps-1/cancel", {"reason": "a\x00b"}),
        ("/accounts/a1-1/perform", {"longest_wait_seconds": 0}),
        ("/accounts/a1-1/perform", {"longest_wait_seconds": "long"}),
        ("/accounts/A B/perform", {}),
        ("/webhooks/replay", {"after": -1}),
    ],
)
def test_a_bad_call_is_told_what_is_wrong_with_it(api: Api, path: str, body: dict[str, Any]) -> None:
    refused(api.post(path, body), 422, ": correct the call.")


def test_a_call_without_a_key_or_with_a_bad_one_is_refused(api: Api) -> None:
    headers = {"Authorization": "Bearer panel", "Transhumance-Customer": "customer-1"}
    for more in ({}, {"Idempotency-Key": "short"}, {"Idempotency-Key": "with a space"}):
        answer = api.client.post("/v1/servers/vps-1/transit", json={"entry": "2026"}, headers={**headers, **more})
        refused(answer, 422, "Idempotency-Key")


@pytest.mark.parametrize("name", ["\xff\xfe", " ", "a\nb", "a\x00b", "a\xc2\xa0", "\xc2\xa0a", "a\xe2\x80\x8b", "a\t"])
def test_a_customers_name_is_text(name: str) -> None:
    with pytest.raises(Problem, match="not a name in UTF-8"):
        auth._decoded(name)
    assert auth._decoded("Bergère & fils".encode().decode("latin-1")) == "Bergère & fils"


def test_accounts_are_performed_in_any_order_once_the_transit_is_handed_over(api: Api) -> None:
    host.handed_over(api.conn, 1)
    for account in ("a1-2", "a1-1"):
        assert api.post(f"/accounts/{account}/perform", {"longest_wait_seconds": 2}).status_code == 202
    first, second = api.runs.of("move_account")
    assert (first["account"], first["to_server"], first["longest_wait_seconds"]) == ("a1-2", "transit-1", 2)
    assert second["account"] == "a1-1"
    host.moved(api.conn, "a1-1", "transit-1")
    refused(api.post("/accounts/a1-1/perform", {}), 409, "lives on")
    refused(api.post("/accounts/a1-2/perform", {"entry": "other"}), 409, "leave `entry` out")
    lifted = {"lift_gate_because": "a test"}
    refused(api.post("/accounts/a1-2/perform", lifted, user="ops", customer=None), 409, "leave `lift_gate_because` out")


def test_a_shared_account_is_performed_through_its_entry(api: Api) -> None:
    with_test(api.conn, "s1")
    copy = registry.certain(registry.replace_test(api.conn, "s1", "again"))
    registry.advance_test(api.conn, copy.id, "removed")
    assert api.post("/accounts/s1/perform", {"entry": "2026"}).status_code == 202
    (conf,) = api.runs.of("migrate_account")
    assert (conf["account"], conf["entry"]) == ("s1", "2026")
    assert registry.live_move_of(api.conn, "s1") is None


def test_a_test_replaces_the_copy_that_is_there(api: Api) -> None:
    assert api.post("/accounts/a1-1/tests", {"entry": "2026"}).status_code == 202
    with_test(api.conn, "a1-1")
    assert api.post("/accounts/a1-1/tests", {"entry": "2026"}).status_code == 202
    assert registry.certain(registry.live_test_of(api.conn, "a1-1")).state == "ready", "what was tried was undone"
    at_work = registry.begin_test(api.conn, "a1-2", "2026", "a run", "customer")
    assert at_work.state == "preparing"
    refused(api.post("/accounts/a1-2/tests", {"entry": "2026"}), 409, "is being tested already")


def test_cancelling_ends_a_migration_before_the_first_account_only(api: Api) -> None:
    host.handed_over(api.conn, 1)
    assert api.post("/servers/vps-1/cancel", {"reason": "we stay"}).status_code == 202
    (conf,) = api.runs.of("manage_transits")
    assert (conf["action"], conf["reason"]) == ("cancel_migration", "we stay")
    host.moved(api.conn, "a1-1", "transit-1")
    refused(api.post("/servers/vps-1/cancel", {"reason": "we stay"}), 409, "a1-1")


def test_too_many_actions_of_one_customer_leave_the_others_alone(api: Api) -> None:
    answers = [api.post("/webhooks/replay", {"after": 0}) for _ in range(auth.ACTIONS.amount + 1)]
    assert {answer.status_code for answer in answers[:-1]} == {202}
    refused(answers[-1], 429, "More than 30 actions in a minute for this customer: try again in")
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert api.post("/webhooks/replay", {"after": 0}, customer="customer-2").status_code == 202
    assert api.get("/servers").status_code == 200, "reading is counted apart"


def test_a_registry_that_does_not_answer_is_no_fault_of_the_caller(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise psycopg.OperationalError("connection refused")

    database.forget()
    monkeypatch.setattr(database.connections, "registry_connection", gone)
    for answer in (api.get("/servers"), api.client.get("/v1/health")):
        refused(answer, 503, "The registry does not answer")
        assert answer.headers["Retry-After"] == "5"


def test_a_fault_is_a_problem_and_tells_nothing_of_the_inside(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr("transhumance_airflow.api.views.panel.live_migrations", broken)
    answer = api.get("/servers")
    refused(answer, 500, "a fault of this API")
    assert "secret" not in answer.text


def test_what_is_nowhere_is_a_problem_too(api: Api) -> None:
    refused(api.client.get("/v1/nowhere"), 404, "Nothing is at /v1/nowhere")
    refused(api.client.delete("/v1/health"), 405, "does not take DELETE")


def test_a_second_click_is_refused_at_once_while_the_first_has_not_begun(api: Api) -> None:
    host.handed_over(api.conn, 1)
    assert api.post("/accounts/a1-1/perform", {}).status_code == 202
    refused(api.post("/accounts/a1-1/perform", {}), 409, "was asked to be performed already and waits for its turn")
    assert len(api.runs.of("move_account")) == 1
    ((dag, run),) = api.runs.started
    registry.begin_move(api.conn, "a1-1", "transit-1", run, "customer")
    refused(api.post("/accounts/a1-1/perform", {}), 409, "Account a1-1 is being moved already")
    # Another account of the server is taken, and waits until that move has ended.
    assert api.post("/accounts/a1-2/perform", {}).status_code == 202


def test_of_two_clicks_at_once_one_is_refused(api: Api) -> None:
    host.handed_over(api.conn, 1)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post("/accounts/a1-1/perform", {}).status_code, range(8)))
    assert sorted(answers) == [202, *[409] * 7] and len(api.runs.of("move_account")) == 1
