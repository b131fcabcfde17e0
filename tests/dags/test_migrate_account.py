"""`migrate_account`: its shape, and its steps on a host in memory with a real registry."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from include import registry
from tests.dags.account_tests import ENTRY
from tests.dags.hosting import Hosting, add_shared
from tests.dags.over import begin, have_tested, move
from tests.dags.steps import MOVE, operation, stand_in_for_look, step
from transhumance_airflow.operators import wait

STEPS = ["check_account", "wait_for_turn", "list_names", *MOVE[1:]]


@pytest.fixture
def dag(dags: dict[str, Any], shared: Hosting, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The DAG; accounts look the same wherever they are, and say where they were looked at."""
    dag = dags["migrate_account"]
    shared.looks = {}

    def look(account: str, address: str) -> dict[str, Any]:
        shared.looks[account] = address
        return {"urls": {}}

    stand_in_for_look(monkeypatch, look)
    return dag


def test_steps_in_order(dags: dict[str, Any]) -> None:
    dag = dags["migrate_account"]
    assert {*dag.task_dict} == {*STEPS}
    tasks = dag.task_dict
    assert "wait_for_turn" in tasks["check_account"].downstream_task_ids
    assert tasks["list_names"].upstream_task_ids == {"wait_for_turn"}
    assert "switch" in tasks["list_names"].downstream_task_ids
    # From there on it is the move of `move_account`, task by task.
    for name in MOVE[2:]:
        theirs = dags["move_account"].task_dict[name]
        assert tasks[name].downstream_task_ids == theirs.downstream_task_ids, name
    assert tasks["close_path"].is_teardown and tasks["close_path"].on_failure_fail_dagrun
    assert isinstance(tasks["wait_for_turn"], wait.WaitForRegistry)


def test_a_shared_account_moves_for_good(dag: Any, dags: dict[str, Any], shared: Hosting) -> None:
    have_tested(dags)
    begun = begin(dag)
    assert (begun["to_server"], begun["direction"], begun["engine"]) == ("web-2", "over", None)
    move(dag, begun)
    account = registry.account(shared.conn, "shop")
    assert account.server == account.home_server == "web-2"
    assert shared.servers["web-2"].accounts["shop"]["state"] == "serving"
    # Its name leads there with the TTL it had; the old server keeps what it had, and forwards.
    assert shared.names.records["shop.example", "A"] == ("198.51.100.32", 3600)
    assert shared.names.records["wiki.example", "A"] == ("198.51.100.31", 3600)
    assert shared.servers["web-1"].accounts["shop"]["state"] == "moved"
    assert shared.servers["web-1"].pairs == shared.servers["web-2"].pairs == set()
    assert shared.looks["shop"] == registry.server(shared.conn, "web-2").management_address
    # Once there, it is not on the old version any more.
    with pytest.raises(AirflowFailException, match="web-2"):
        begin(dag, run_id="perform-2")


def test_every_step_can_be_repeated_after_the_end(dag: Any, dags: dict[str, Any], shared: Hosting) -> None:
    have_tested(dags)
    begun = begin(dag)
    move(dag, begun)
    started = list(shared.started)
    again = begin(dag)
    assert again == begun
    move(dag, again)
    assert shared.started == started


def test_an_account_that_was_not_tested_or_has_a_blocker_is_refused_unless_ops_say_why(
    dag: Any, dags: dict[str, Any], shared: Hosting
) -> None:
    events = len(registry.list_events(shared.conn, limit=1_000_000))
    with pytest.raises(AirflowFailException, match="shop has not been tested for infrastructure-2026"):
        begin(dag)
    assert len(registry.list_events(shared.conn, limit=1_000_000)) == events
    begun = begin(dag, lift_gate_because="the customer asks us to", requested_by="ops")
    assert begun["to_server"] == "web-2"
    (lifted,) = [one for one in registry.list_events(shared.conn, limit=1_000_000) if one.kind == "gate.lifted"]
    assert lifted.detail["reason"] == "the customer asks us to" and (lifted.account, lifted.by) == ("shop", "ops")


@pytest.mark.parametrize(
    ("account", "entry", "sentence"),
    [
        ("nobody", ENTRY, "no account nobody"),
        ("shop", "nothing", "no catalogue entry nothing"),
        ("app", ENTRY, "vps-1, a vps server"),
    ],
)
def test_refusals_change_nothing(dag: Any, shared: Hosting, account: str, entry: str, sentence: str) -> None:
    events = len(registry.list_events(shared.conn, limit=1_000_000))
    with pytest.raises(AirflowFailException, match=sentence):
        begin(dag, account, entry=entry)
    assert len(registry.list_events(shared.conn, limit=1_000_000)) == events


def test_refused_when_no_server_has_room(dag: Any, dags: dict[str, Any], shared: Hosting) -> None:
    have_tested(dags)
    registry.pause_server(shared.conn, "web-2", "full", "ops")
    with pytest.raises(AirflowFailException, match="No shared server with infrastructure 2026"):
        begin(dag)


def test_a_third_move_waits_its_turn_and_begins_when_one_has_ended(
    dag: Any, dags: dict[str, Any], shared: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "SHORT", 0.0)
    add_shared(shared, "club")
    for account in ("shop", "wiki", "club"):
        have_tested(dags, account)
    first, second = begin(dag), begin(dag, "wiki", "perform-2")
    assert first and second
    assert begin(dag, "club", "perform-3") is None
    assert registry.live_move_of(shared.conn, "club") is None
    asked: dict[str, Any] = {"account": "club", "entry": ENTRY, "run_id": "perform-3", "requested_by": "the customer"}
    asked |= {"to_server": None, "lift_gate_because": None, "longest_wait_seconds": 1}
    waiting = wait.WaitForRegistry(task_id="wait", condition="over_begun", about=asked)
    with pytest.raises(TaskDeferred):
        waiting.execute({})
    move(dag, first)
    assert waiting.execute({}, {"value": {}})["account"] == "club"
    # A refusal meanwhile ends the wait with its sentence.
    with pytest.raises(AirflowFailException, match="Server web-2 runs infrastructure 2026"):
        wait.WaitForRegistry(
            task_id="wait", condition="over_begun", about={**asked, "account": "shop", "run_id": "perform-4"}
        ).execute({}, {"refused": "removed"})


def test_a_failure_before_the_commit_returns_and_may_begin_again(
    dag: Any, dags: dict[str, Any], shared: Hosting
) -> None:
    have_tested(dags)
    begun = begin(dag)
    peer = step(dag, "open_path", move=begun)
    operation(dag, "copy", begun, peer)
    shared.failing["switch"] = ("not_equal", "The copies differ, so nothing was committed.")
    with pytest.raises(AirflowException, match="The copies differ"):
        operation(dag, "switch", begun, peer)
    assert step(dag, "close_path", move=begun) == "returned"
    assert registry.account(shared.conn, "shop").server == "web-1"
    assert shared.servers["web-1"].accounts["shop"]["state"] == "serving"
    assert shared.names.records["shop.example", "A"] == ("198.51.100.31", 3600)
    shared.failing.clear()
    again = begin(dag)
    assert again["id"] == begun["id"] and again["epoch"] > begun["epoch"]
    move(dag, again)


def test_names_that_were_added_follow_and_those_elsewhere_are_told(
    dag: Any, dags: dict[str, Any], shared: Hosting
) -> None:
    have_tested(dags)
    shared.servers["web-1"].accounts["shop"]["sites"] = [
        {"domain": "shop.example", "aliases": ["new.example", "shop.test"]},
    ]
    shared.names.put("new.example", "A", "198.51.100.31", 600)
    begun = begin(dag)
    (said,) = step(dag, "list_names", move=begun)
    assert said.startswith("shop.test is not in our DNS: point it at 198.51.100.32 and 2001:db8:100::32")
    move(dag, begun)
    assert shared.names.records["new.example", "A"] == ("198.51.100.32", 600)
    assert step(dag, "list_names", move=begun) == [], "it has moved: nothing is to be told before"


def test_of_one_engine_its_databases_only(dag: Any, dags: dict[str, Any], shared: Hosting) -> None:
    have_tested(dags, entry="postgresql-17")
    begun = begin(dag, entry="postgresql-17")
    assert (begun["to_server"], begun["engine"]) == ("data-1", "postgresql")
    move(dag, begun)
    assert shared.args["switch"]["engine"] == "postgresql" and shared.args["copy"]["stores"] == ["postgresql"]
    assert shared.args["receive"]["engine"] == "postgresql"
    assert shared.servers["data-1"].accounts["shop.postgresql"]["state"] == "serving"
    assert registry.account(shared.conn, "shop").server == "web-1"
    assert registry.engines_of(shared.conn, "shop") == {"postgresql": "data-1"}
    assert shared.names.records["shop.example", "A"] == ("198.51.100.31", 3600)
    assert shared.looks["shop"] == registry.server(shared.conn, "web-1").management_address


def test_databases_that_have_left_go_forward(dag: Any, dags: dict[str, Any], shared: Hosting) -> None:
    have_tested(dags, entry="postgresql-17")
    begun = begin(dag, entry="postgresql-17")
    peer = step(dag, "open_path", move=begun)
    operation(dag, "copy", begun, peer)
    operation(dag, "switch", begun, peer)
    with pytest.raises(registry.RegistryRefused, match="goes forward"):
        step(dag, "close_path", move=begun)
    assert step(dag, "open_path", move=begun) == peer
