"""A person's yes before a reinstall: asked only where the plan says so, with the proof in front of them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from include import registry
from tests.dags.hosting import Hosting
from tests.dags.steps import stand_in_for_look, step, up_to_rerouted


@pytest.fixture
def dag(dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`migrate_server`; accounts look the same wherever they are."""
    stand_in_for_look(monkeypatch, lambda account, address: {"urls": {}})
    return dags["migrate_server"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a person would be asked."""
    questions: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **question: questions.append(question))
    return questions


@pytest.fixture
def migration(dag: Any, dags: dict[str, Any], hosting: Hosting) -> dict[str, Any]:
    """A migration whose original was proven empty."""
    migration = up_to_rerouted(dag, dags, hosting.conn)
    step(dag, "prove_original_empty", migration=migration)
    return migration


def run(dag: Any, migration: dict[str, Any]) -> Any:
    operator = dag.task_dict["approve_reinstall"].prepare_for_execution()
    operator.migration = migration
    return operator, lambda: operator.execute({"task_instance": SimpleNamespace(id="ti")})


def answer(operator: Any, chosen: str) -> Any:
    event = {
        "chosen_options": [chosen],
        "params_input": {},
        "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": "7", "name": "olga"},
    }
    return operator.execute_complete({}, event)


def test_it_stands_before_the_reinstall(dags: dict[str, Any]) -> None:
    task = dags["migrate_server"].task_dict["approve_reinstall"]
    assert task.upstream_task_ids == {"prove_original_empty"}
    assert task.downstream_task_ids == {"reinstall_original"}
    assert isinstance(task, hitl.ApprovalOperator) and task.fail_on_reject


def test_nobody_is_asked_unless_the_plan_says_so(
    dag: Any, migration: dict[str, Any], asked: list[dict[str, Any]], hosting: Hosting
) -> None:
    _, execute = run(dag, migration)
    assert execute() is None
    assert asked == []


def test_a_person_is_asked_with_the_proof_in_front_of_them(
    dag: Any, migration: dict[str, Any], asked: list[dict[str, Any]], hosting: Hosting
) -> None:
    registry.ask_before_reinstall(hosting.conn, "M", True, "ops")
    hosting.log.clear()
    operator, execute = run(dag, migration)
    with pytest.raises(TaskAwaitingInput):
        execute()
    (question,) = asked
    assert question["subject"] == "Reinstall vps-1 with infrastructure 2026?"
    assert question["options"] == ["Approve", "Reject"]
    assert hosting.log == [("vps-1", "prove_empty")], "the server itself is asked at that moment"
    body = question["body"]
    assert "on vps-1 live: none" in body and "live on transit-1: app, blog" in body
    assert "IPs routed to vps-1: none" in body and "transit-1: 198.51.100.11, 2001:db8:100::11" in body
    assert "**vps-1 itself says**: it is empty." in body


def test_what_still_lives_there_is_shown(
    dag: Any, migration: dict[str, Any], asked: list[dict[str, Any]], hosting: Hosting
) -> None:
    registry.ask_before_reinstall(hosting.conn, "M", True, "ops")
    hosting.servers["vps-1"].accounts["late"] = {"state": "serving", "epoch": 1, "move": None}
    _, execute = run(dag, migration)
    with pytest.raises(TaskAwaitingInput):
        execute()
    assert "NOT empty" in asked[0]["body"] and "    The account late is serving here." in asked[0]["body"]


def test_yes_is_kept_and_not_asked_for_twice(
    dag: Any, migration: dict[str, Any], asked: list[dict[str, Any]], hosting: Hosting
) -> None:
    conn = hosting.conn
    registry.ask_before_reinstall(conn, "M", True, "ops")
    operator, execute = run(dag, migration)
    with pytest.raises(TaskAwaitingInput):
        execute()
    answer(operator, "Approve")
    assert registry.approved_by(conn, migration["id"]) == "olga"
    again, execute = run(dag, migration)
    assert execute() is None and len(asked) == 1, "the same run, started again, goes on"


def test_no_ends_the_task_for_good_and_is_asked_again_when_it_is_cleared(
    dag: Any, migration: dict[str, Any], asked: list[dict[str, Any]], hosting: Hosting
) -> None:
    conn = hosting.conn
    registry.ask_before_reinstall(conn, "M", True, "ops")
    operator, execute = run(dag, migration)
    with pytest.raises(TaskAwaitingInput):
        execute()
    with pytest.raises(AirflowFailException, match="olga said no: vps-1 is not reinstalled."):
        answer(operator, "Reject")
    assert registry.list_events(conn, migration_id=migration["id"])[-1].kind == "reinstall.rejected"
    assert registry.migration(conn, migration["id"]).state == "original_empty", "nothing has changed"
    _, execute = run(dag, migration)
    with pytest.raises(TaskAwaitingInput):
        execute()
    assert len(asked) == 2


def test_what_is_reinstalled_already_asks_nobody(
    dag: Any, migration: dict[str, Any], asked: list[dict[str, Any]], hosting: Hosting
) -> None:
    registry.ask_before_reinstall(hosting.conn, "M", True, "ops")
    step(dag, "reinstall_original", migration=migration)
    _, execute = run(dag, migration)
    assert execute() is None and asked == []
