"""Whole runs by Airflow itself, on the host in memory: what one step hands to the next, what is skipped, what a failure
leaves behind."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from include import registry
from tests.dags.hosting import Hosting
from tests.dags.steps import stand_in_for_look

ENTRY = "infrastructure-2026"
SHOP = {"account": "shop", "entry": ENTRY, "requested_by": "a test"}


def run(dag: Any, **conf: Any) -> tuple[str, dict[str, str]]:
    """Runs the DAG to its end; gives its state and that of each task."""
    ended = dag.test(run_conf=conf)
    return str(ended.state), {task.task_id: str(task.state) for task in ended.get_task_instances()}


def test_an_account_is_tested_performed_and_its_copy_expires(
    airflow: None, dags: dict[str, Any], shared: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_for_look(monkeypatch, lambda account, address: {"urls": {}})
    for dag_id, conf in (("test_account", SHOP), ("migrate_account", SHOP)):
        state, tasks = run(dags[dag_id], **conf)
        why = [one.detail for one in registry.list_events(shared.conn, limit=1_000_000) if one.kind == "run.failed"]
        assert state == "success" and set(tasks.values()) == {"success"}, (dag_id, tasks, why)
    assert registry.account(shared.conn, "shop").server == "web-2"
    shared.conn.execute("UPDATE tests SET expires_at = now() - interval '1 hour'")
    assert run(dags["expire_tests"]) == ("success", {"list_expired": "success", "remove_test": "success"})
    assert shared.servers["test-1"].accounts == {}
    assert run(dags["expire_tests"])[1]["remove_test"] == "skipped", "nothing is left to take away"


def test_a_test_that_fails_is_taken_away_and_the_run_has_failed(
    airflow: None, dags: dict[str, Any], shared: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = dags["test_account"]
    for task in dag.tasks:
        monkeypatch.setattr(task, "retries", 0)
    shared.failing["check"] = ("peer", "The server was restarted.")
    state, tasks = run(dag, **SHOP)
    assert state == "failed"
    assert tasks["check_copy"] == "failed" and tasks["write_report"] == tasks["tell_result"] == "upstream_failed"
    assert tasks["close_path"] == "success" and "shop" not in shared.servers["test-1"].accounts
    (test,) = registry.tests_of(shared.conn, "shop")
    assert (test.state, test.failure) == ("removed", "The server was restarted.")


def test_a_refusal_ends_a_run_at_its_first_task(airflow: None, dags: dict[str, Any], shared: Hosting) -> None:
    state, tasks = run(dags["migrate_account"], **SHOP)
    assert state == "failed" and tasks.pop("check_account") == "failed"
    assert set(tasks.values()) <= {"upstream_failed", "skipped"}, tasks
    assert "shop has not been tested" in (registry.why_run_failed(shared.conn, _last_run(shared.conn), "shop") or "")


def _last_run(conn: psycopg.Connection) -> str:
    return [one for one in registry.list_events(conn, limit=1_000_000) if one.kind == "run.failed"][-1].detail["run_id"]


def test_who_only_steers_a_campaign_performs_nothing(airflow: None, dags: dict[str, Any], shared: Hosting) -> None:
    state, tasks = run(dags["run_campaign"], entry=ENTRY, action="show")
    assert state == "success" and tasks.pop("act") == "success"
    assert set(tasks.values()) == {"skipped"}


def test_a_campaign_whose_accounts_all_cannot_be_moved_ends_at_once_and_says_why(
    airflow: None, dags: dict[str, Any], shared: Hosting
) -> None:
    """By Airflow itself: what was found is told before the waves begin, and is in the report."""
    sentence = "The files in /home/x could not be read: data/a: a program holds a lease on it; end it."
    shared.obstacles |= {name: [{"sentence": sentence, "who": "customer"}] for name in ("shop", "wiki")}
    state, tasks = run(dags["run_campaign"], entry=ENTRY, action="start", accounts="all")
    assert state == "success" and set(tasks.values()) == {"success"}, tasks
    (campaign,) = registry.list_campaigns(shared.conn)
    left = registry.campaign_accounts(shared.conn, campaign.id)
    assert campaign.state == "done" and {one.state for one in left} == {"left"}
    assert all(sentence in (one.reason or "") for one in left)
    assert registry.account(shared.conn, "shop").server == "web-1"
