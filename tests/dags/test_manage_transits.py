"""The pool and the queue through their form, and a migration that is given up."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include import registry
from include.moves import forwarding, pool
from tests.dags.hosting import Hosting
from transhumance_airflow import conditions

FORM = {name: None for name in ("transit", "migration", "customer", "plan", "reason")} | {
    "larger": False,
    "requested_by": "ops",
}


@pytest.fixture
def act(dags: dict[str, Any]) -> Any:
    return dags["manage_transits"].task_dict["act"].python_callable


@pytest.fixture
def migration(dags: dict[str, Any], hosting: Hosting) -> dict[str, Any]:
    params = {
        "server": "vps-1",
        "entry": "infrastructure-2026",
        "lift_gate_because": "a test",
        "requested_by": "a test",
    }
    return dags["migrate_server"].task_dict["check_server"].python_callable(params=params, run_id="run-1")


def test_every_action_of_the_form_is_there(dags: dict[str, Any]) -> None:
    assert dags["manage_transits"].params.get_param("action").schema["enum"] == list(pool.ACTIONS)


def test_a_paused_transit_is_given_to_nobody_until_it_is_offered_again(
    act: Any, dags: dict[str, Any], hosting: Hosting, migration: dict[str, Any]
) -> None:
    act(params={**FORM, "action": "pause_transit", "transit": "transit-1", "reason": "a broken fan"})
    said = dags["migrate_server"].task_dict["request_transit"].python_callable(migration=migration)
    assert said == "place 1 of 1, a transit is expected at a time that cannot be told"
    assert conditions.ask(hosting.conn, "transit_assigned", {"migration": migration["id"]}) is None
    shown = pool.show(hosting.conn)
    assert "paused: a broken fan" in shown
    assert f"{migration['id']:9}  vps-1" in shown and "cannot be told" in shown
    act(params={**FORM, "action": "resume_transit", "transit": "transit-1"})
    assert conditions.ask(hosting.conn, "transit_assigned", {"migration": migration["id"]}) == "transit-1"


def test_what_the_form_lacks_is_said_and_nothing_changes(act: Any, hosting: Hosting) -> None:
    before = pool.show(hosting.conn)
    with pytest.raises(AirflowFailException, match="pause_transit needs transit and reason"):
        act(params={**FORM, "action": "pause_transit"})
    with pytest.raises(AirflowFailException, match="no-such"):
        act(params={**FORM, "action": "resume_transit", "transit": "no-such"})
    assert pool.show(hosting.conn) == before


def test_a_migration_given_up_while_it_waits_ends_its_waits(
    act: Any, dags: dict[str, Any], hosting: Hosting, migration: dict[str, Any]
) -> None:
    act(params={**FORM, "action": "pause_transit", "transit": "transit-1", "reason": "a test"})
    registry.request_transit(hosting.conn, migration["id"])
    act(params={**FORM, "action": "cancel_migration", "migration": migration["id"], "reason": "they stay"})
    assert registry.waiting(hosting.conn) == []
    assert conditions.ask(hosting.conn, "transit_assigned", {"migration": migration["id"]}) == conditions.GIVEN_UP
    tasks = dags["migrate_server"].task_dict
    with pytest.raises(AirflowSkipException):
        _wait(tasks, migration)
    with pytest.raises(AirflowSkipException, match="cancelled"):
        tasks["install_transit"].python_callable(migration=migration)
    assert tasks["point_names_home"].python_callable(migration=migration) == []
    with pytest.raises(AirflowSkipException, match="before it had a transit"):
        tasks["wipe_transit"].python_callable(migration=migration)


def test_a_migration_given_up_after_the_hand_over_returns_its_transit_wiped(
    act: Any, dags: dict[str, Any], hosting: Hosting, migration: dict[str, Any]
) -> None:
    tasks, conn = dags["migrate_server"].task_dict, hosting.conn
    registry.request_transit(conn, migration["id"])
    assert conditions.ask(conn, "transit_assigned", {"migration": migration["id"]}) == "transit-1"
    tasks["install_transit"].python_callable(migration=migration)
    tasks["enrol_transit"].python_callable(migration=migration, transit="transit-1")
    assert tasks["hand_over"].python_callable(migration=migration, transit="transit-1") == []
    assert {ttl for _, ttl in hosting.names.records.values()} == {30}
    act(params={**FORM, "action": "cancel_migration", "migration": migration["id"], "reason": "they stay"})
    for way_out in ("point_names_home", "wipe_transit"):
        assert tasks[way_out].trigger_rule == "none_failed"
    tasks["point_names_home"].python_callable(migration=migration)
    assert {ttl for _, ttl in hosting.names.records.values()} == {3600}
    with pytest.raises(AirflowSkipException):
        tasks["reroute_ips_home"].python_callable(migration=migration, transit="transit-1")
    tasks["wipe_transit"].python_callable(migration=migration)
    assert "transit-1" not in hosting.servers
    tasks["return_transit"].python_callable(migration=migration)
    tasks["write_report"].python_callable(migration=migration)
    assert registry.migration(conn, migration["id"]).state == "cancelled"
    assert registry.server(conn, "transit-1").state == "free"
    assert registry.certain(registry.lease_of(conn, migration["id"])).ended_at is not None


def test_the_old_paths_are_shown(dags: dict[str, Any], hosting: Hosting, migration: dict[str, Any]) -> None:
    tasks, conn = dags["migrate_server"].task_dict, hosting.conn
    registry.request_transit(conn, migration["id"])
    assert conditions.ask(conn, "transit_assigned", {"migration": migration["id"]}) == "transit-1"
    assert forwarding.record_all(conn, hosting.reach) == []
    tasks["install_transit"].python_callable(migration=migration)
    tasks["enrol_transit"].python_callable(migration=migration, transit="transit-1")
    tasks["hand_over"].python_callable(migration=migration, transit="transit-1")
    assert forwarding.record_all(conn, hosting.reach) == ["vps-1: no account has left it."]
    passed = {"http": {"count": 4, "last": 1e9}, "smtp": {"count": 0, "last": None}}
    hosting.servers["vps-1"].accounts["app"] |= {"state": "moved", "forwarded": passed}
    (said,) = forwarding.record_all(conn, hosting.reach)
    assert said.startswith("app: by the old path came 4 http; nothing since ")
    dags["manage_transits"].task_dict["show_queue"].python_callable()
    assert [event.kind for event in registry.list_events(conn, migration["id"])].count("original.forwarded") == 1
    del hosting.servers["vps-1"]
    assert forwarding.record_all(conn, hosting.reach) == ["vps-1: vps-1 cannot be reached."]


def _wait(tasks: dict[str, Any], migration: dict[str, Any]) -> None:
    wait = tasks["wait_for_transit"]
    type(wait)(task_id="wait", condition=wait.condition, about=migration).execute({})
