"""`test_account` and `expire_tests`: their shape, and their steps on a host in memory with a real registry."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from include import registry
from include.hosts import HostUnreachable
from include.settings import read_settings
from include.testing import names
from tests.dags.account_tests import ENTRY, begin, operation, tell, whole
from tests.dags.hosting import Hosting
from tests.dags.steps import step
from transhumance_airflow.operators import agent

IN_A_ROW = ["check_account", "replace_old_test", "open_path", "duplicate", "open_test", "name_test", "write_report"]
SIDE_BY_SIDE = {"check_original", "check_copy", "look_at_pages"}


@pytest.fixture
def dag(dags: dict[str, Any], shared: Hosting) -> Any:
    return dags["test_account"]


def test_steps_in_order(dag: Any) -> None:
    tasks = dag.task_dict
    assert {*tasks} == {*IN_A_ROW, *SIDE_BY_SIDE, "tell_result", "close_path"}
    for before, after in itertools.pairwise(IN_A_ROW[:6]):
        assert after in tasks[before].downstream_task_ids
    assert tasks["name_test"].downstream_task_ids == SIDE_BY_SIDE
    for each in SIDE_BY_SIDE:
        assert tasks[each].downstream_task_ids == {"write_report"}
    # What tells the result is an end of the graph: were close_path the only one, it would hide a failure.
    assert tasks["write_report"].downstream_task_ids == {"tell_result", "close_path"}
    assert tasks["tell_result"].downstream_task_ids == set()
    assert tasks["close_path"].is_teardown and tasks["close_path"].on_failure_fail_dagrun
    assert all(task.on_failure_callback for task in dag.tasks)


def test_a_test_from_end_to_end(dag: Any, shared: Hosting, tmp_path: Path) -> None:
    before = dict(shared.servers["web-1"].accounts["shop"])
    result = whole(dag)
    assert result["names"] == {"shop.example": "shop-example.test.example"}
    assert result["verdict"] == "ready" and "shop" in result["sentence"]
    left = datetime.fromisoformat(result["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=13) < left <= timedelta(days=read_settings().test_days)
    # The address works, and everything that was asked for was asked of the right server.
    assert shared.names.records["shop-example.test.example", "A"] == ("198.51.100.41", names.TTL)
    assert shared.names.records["shop-example.test.example", "AAAA"] == ("2001:db8:100::41", names.TTL)
    copy = shared.servers["test-1"].accounts["shop"]
    assert copy["state"] == "test" and copy["test"]["names"] == {"shop.example": "shop-example.test.example"}
    assert shared.servers["test-1"].domain == "test.example"
    assert shared.args["duplicate"]["stores"] == ["files", "postgresql", "mariadb"]
    assert shared.args["check"]["old_addresses"] == ["198.51.100.31", "2001:db8:100::31"]
    assert shared.sides == {"web-1": "original", "test-1": "copy"}
    assert {check["kind"] for check in shared.args["check"]["checks"]} >= {"php_lint", "old_addresses"}
    # The original was not touched, and nothing of the path is left.
    assert shared.servers["web-1"].accounts["shop"] == before
    assert shared.names.records["shop.example", "A"] == ("198.51.100.31", 3600)
    assert shared.servers["web-1"].pairs == shared.servers["test-1"].pairs == set()
    test = registry.certain(registry.latest_test_of(shared.conn, "shop", ENTRY))
    assert (test.state, test.blockers, test.requested_by) == ("ready", 0, "the customer")
    written = json.loads((tmp_path / f"test-{test.id}.json").read_text())
    assert written == test.report and written["copied"]["databases"] == ["PostgreSQL shop"]
    assert "<html" in (tmp_path / f"test-{test.id}.html").read_text()
    assert "secret" not in json.dumps(written)


def test_every_step_can_be_repeated_after_the_end(dag: Any, shared: Hosting) -> None:
    first = whole(dag)
    started = list(shared.started)
    again = whole(dag)
    assert again["names"] == first["names"] and again["test"] == first["test"]
    assert shared.started == started, "a finished operation was started again"


def test_findings_reach_the_report_and_the_gate(dag: Any, shared: Hosting) -> None:
    checks = {check["kind"]: check["id"] for check in _checks()}
    shared.findings["web-1"] = [
        {"check": checks["postgresql_settings"], "where": "database shop", "what": "a setting", "count": 1}
    ]
    shared.findings["test-1"] = [
        {"check": checks["php_lint"], "where": "index.php:7", "what": "Parse error: unexpected token", "count": 1}
    ]
    page: dict[str, Any] = {
        "url": "https://shop.example/",
        "test_url": "https://shop-example.test.example/",
        "status": [200, 500],
    }
    page |= {"title": ["Shop", ""], "likeness": 0.1, "php_errors": ["Fatal error: gone"], "seconds": [0.1, 0.1]}
    shared.pages = [page]
    result = whole(dag)
    assert result["verdict"] == "blocked" and result["blockers"] >= 1
    report = registry.certain(registry.certain(registry.latest_test_of(shared.conn, "shop", ENTRY)).report)
    places = [place for found in report["findings"] for place in found["places"]]
    for side in ("index.php:7", "database shop"):
        assert any(side in place for place in places)
    with pytest.raises(registry.RegistryRefused, match="blocker"):
        registry.begin_over(shared.conn, "shop", ENTRY, "perform-1", "a test")


def test_tested_again_the_copy_is_replaced(dag: Any, shared: Hosting) -> None:
    first = whole(dag)
    second = whole(dag, run_id="test-2")
    assert second["test"] != first["test"]
    assert registry.test(shared.conn, first["test"]).state == "removed"
    assert registry.certain(registry.live_test_of(shared.conn, "shop")).id == second["test"]
    assert shared.servers["test-1"].accounts["shop"]["move"] == registry.test(shared.conn, second["test"]).key
    assert registry.certain(registry.latest_test_of(shared.conn, "shop", ENTRY)).id == second["test"]


def test_a_test_of_one_engine_copies_that_engines_databases_only(dag: Any, shared: Hosting) -> None:
    result = whole(dag, entry="postgresql-17")
    assert shared.args["duplicate"]["stores"] == ["postgresql"]
    file = shared.args["receive"]["account_file"]
    assert file["postgresql"]["databases"] == ["shop"]
    assert file["sites"] == [] and file["mail"]["mailboxes"] == [] and file["mariadb"]["databases"] == []
    assert shared.servers["test-1"].accounts["shop"]["test"] == {"names": {}, "stores": ["postgresql"]}
    # A name to reach the databases by.
    assert result["names"] == {"shop": "shop.test.example"}
    assert ("shop.test.example", "A") in shared.names.records


@pytest.mark.parametrize(
    ("account", "entry", "sentence"),
    [
        ("nobody", ENTRY, "no account nobody"),
        ("shop", "nothing", "no catalogue entry nothing"),
    ],
)
def test_refusals_change_nothing(dag: Any, shared: Hosting, account: str, entry: str, sentence: str) -> None:
    whole(dag, "wiki", run_id="before")
    events = len(registry.list_events(shared.conn, limit=1_000_000))
    with pytest.raises(AirflowFailException, match=sentence):
        begin(dag, account, entry)
    assert len(registry.list_events(shared.conn, limit=1_000_000)) == events
    assert shared.servers["test-1"].accounts["wiki"]["state"] == "test"


def test_refused_while_another_run_tests_it_or_it_is_not_serving_or_no_server_has_room(
    dag: Any, shared: Hosting
) -> None:
    begin(dag, run_id="other")
    with pytest.raises(AirflowFailException, match="being tested already"):
        begin(dag)
    shared.servers["web-1"].accounts["wiki"]["state"] = "held"
    with pytest.raises(AirflowFailException, match="wiki is not ready to be tested: on web-1 it is held"):
        begin(dag, "wiki")
    shared.servers["web-1"].accounts["wiki"]["state"] = "serving"
    registry.pause_server(shared.conn, "test-1", "a broken fan", "ops")
    with pytest.raises(AirflowFailException, match="No test server with infrastructure 2026"):
        begin(dag, "wiki")


@pytest.mark.parametrize("verb", ["duplicate", "check"])
def test_a_test_that_failed_leaves_nothing_and_says_why(dag: Any, shared: Hosting, verb: str) -> None:
    test = begin(dag)
    peer = step(dag, "open_path", test=test)
    shared.failing[verb] = ("peer", "The other server does not answer.")
    with pytest.raises(AirflowException, match="does not answer") as failed:
        if verb == "check":
            operation(dag, "duplicate", test, peer)
            step(dag, "name_test", test=test, named=step(dag, "open_test", test=test))
            operation(dag, "check_copy", test)
        operation(dag, "duplicate", test, peer)
    tell(dag, "duplicate", "test-1", "shop", failed.value)
    assert step(dag, "close_path", test=test) == "removed"
    assert "shop" not in shared.servers["test-1"].accounts
    assert shared.servers["web-1"].accounts["shop"]["state"] == "serving"
    assert shared.servers["web-1"].pairs == shared.servers["test-1"].pairs == set()
    assert not [name for name, _ in shared.names.records if name.endswith(".test.example")]
    gone = registry.test(shared.conn, test["id"])
    assert (gone.state, gone.failure) == ("removed", "The other server does not answer.")
    # Cleared, the same run begins anew.
    shared.failing.clear()
    again = begin(dag)
    assert again["id"] == test["id"] and again["epoch"] > test["epoch"]
    assert whole(dag)["verdict"] == "ready"


def test_a_failure_is_told_without_what_others_wrote(dag: Any, shared: Hosting) -> None:
    tell(dag, "duplicate", "r1", "shop", ValueError("password=hunter2"))
    assert registry.why_run_failed(shared.conn, "r1", "shop") == "ValueError: see the log of duplicate."
    tell(dag, "duplicate", "r1", "shop", AirflowException("The copies differ."))
    tell(dag, "close_path", "r1", "shop", AirflowException("The server is gone."))
    assert registry.why_run_failed(shared.conn, "r1", "shop") == "The copies differ."
    tell(dag, "check_account", "r2", "nobody", registry.RegistryRefused("There is no account nobody."))
    assert registry.why_run_failed(shared.conn, "r2", "shop") is None


def test_a_name_of_somebody_else_is_left_and_the_test_refused(dag: Any, shared: Hosting) -> None:
    shared.names.put("shop-example.test.example", "A", "203.0.113.9", 60)
    test = begin(dag)
    operation(dag, "duplicate", test, step(dag, "open_path", test=test))
    named = step(dag, "open_test", test=test)
    with pytest.raises(AirflowFailException, match="holds 203.0.113.9"):
        step(dag, "name_test", test=test, named=named)
    step(dag, "close_path", test=test)
    assert shared.names.records["shop-example.test.example", "A"] == ("203.0.113.9", 60)


def test_an_operation_that_lasts_is_waited_for_without_a_worker(
    dag: Any, shared: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "BUSY", 0.0)
    test = begin(dag)
    peer = step(dag, "open_path", test=test)
    name = f"{test['key']}-e{test['epoch']}-duplicate"
    operation(dag, "duplicate", test, peer)
    shared.servers["web-1"].operations[name].update(state="running", progress={})
    shared.started.clear()
    with pytest.raises(TaskDeferred) as deferred:
        operation(dag, "duplicate", test, peer)
    assert deferred.value.trigger.serialize()[1]["operation"] == name
    assert shared.started == [], "what runs was started again"


# --- expire_tests


def expire(dags: dict[str, Any], test: int | None = None) -> list[int]:
    """A whole run; gives which tests it took away."""
    dag = dags["expire_tests"]
    found = step(dag, "list_expired", params={"test": test})
    for one in found:
        dag.task_dict["remove_test"].python_callable(test=one)
    return found


def test_it_runs_hourly_and_maps_over_what_is_expired(dags: dict[str, Any]) -> None:
    dag = dags["expire_tests"]
    assert dag.max_active_runs == 1
    assert dag.task_dict["list_expired"].downstream_task_ids == {"remove_test"}
    assert dag.task_dict["remove_test"].retries >= 2
    assert all(f"**{name}**" in dag.doc_md for name in dag.task_dict)


def test_only_what_is_expired_goes(dag: Any, dags: dict[str, Any], shared: Hosting) -> None:
    result, other = whole(dag), whole(dag, "wiki", run_id="test-2")
    assert expire(dags) == []
    shared.conn.execute("UPDATE tests SET expires_at = now() - interval '1 hour' WHERE id = %s", [result["test"]])
    assert expire(dags) == [result["test"]]
    assert "shop" not in shared.servers["test-1"].accounts
    assert shared.servers["test-1"].accounts["wiki"]["state"] == "test"
    assert {name for name, _ in shared.names.records if name.endswith("test.example")} == {"wiki-example.test.example"}
    assert expire(dags) == []
    assert expire(dags, other["test"]) == [other["test"]] and expire(dags, other["test"]) == [other["test"]]
    assert shared.servers["test-1"].accounts == {}


def test_a_server_that_does_not_answer_is_tried_again(dag: Any, dags: dict[str, Any], shared: Hosting) -> None:
    result = whole(dag)
    gone = shared.servers.pop("test-1")
    with pytest.raises(HostUnreachable):
        expire(dags, result["test"])
    shared.servers["test-1"] = gone
    assert registry.test(shared.conn, result["test"]).state == "removing"
    assert expire(dags) == [result["test"]]
    assert registry.test(shared.conn, result["test"]).state == "removed"


@pytest.mark.parametrize("state", ["serving", "held", "moved"])
def test_nothing_that_is_no_test_copy_can_be_removed(
    dag: Any, dags: dict[str, Any], shared: Hosting, state: str
) -> None:
    result = whole(dag)
    shared.servers["test-1"].accounts["shop"]["state"] = state
    with pytest.raises(AirflowFailException, match=f"calls shop {state}, which no test copy is"):
        expire(dags, result["test"])
    assert shared.servers["test-1"].accounts["shop"]["state"] == state
    assert ("test-1", "remove") not in shared.log


def test_a_copy_that_another_test_made_is_not_removed_with_this_one(
    dag: Any, dags: dict[str, Any], shared: Hosting
) -> None:
    result = whole(dag)
    shared.servers["test-1"].accounts["shop"]["move"] = "t4711"
    expire(dags, result["test"])
    assert shared.servers["test-1"].accounts["shop"]["state"] == "test"


def _checks() -> list[dict[str, Any]]:
    from include import catalogue

    return catalogue.load()[ENTRY].checks()
