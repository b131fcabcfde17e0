"""`look_at_servers`: a server from a backup is told which accounts have left it."""

from __future__ import annotations

from typing import Any

from include import registry
from tests.dags.hosting import Hosting


def step(dag: Any, task_id: str, **arguments: Any) -> Any:
    return dag.task_dict[task_id].python_callable(**arguments)


def moved(hosting: Hosting, run_id: str = "perform-1") -> registry.Move:
    """The account app has moved to the transit, which the customer has."""
    conn = hosting.conn
    migration = registry.begin_migration(conn, "vps-1", "infrastructure-2026", "run-1", "ops", "a test of moves")
    registry.request_transit(conn, migration.id)
    registry.assign_transit(conn, migration.id)
    key = hosting.reinstall(registry.server(conn, "transit-1"), "2026").host_key
    registry.enrol_server(conn, "transit-1", "2026", key, {})
    registry.hand_over(conn, migration.id)
    move = registry.begin_move(conn, "app", "transit-1", run_id, "acme")
    for state in ("copying", "switching", "committed", "done"):
        registry.advance_move(conn, move.id, state)
    hosting.servers["transit-1"].accounts["app"] = {"state": "serving", "epoch": move.epoch, "move": move.key}
    hosting.servers["vps-1"].accounts["app"] = {"state": "moved", "epoch": move.epoch, "move": move.key}
    return registry.move(conn, move.id)


def look(dags: dict[str, Any]) -> list[str]:
    return step(dags["look_at_servers"], "look_at_servers")


def test_where_all_is_well_nothing_is_told(dags: dict[str, Any], hosting: Hosting) -> None:
    moved(hosting)
    assert look(dags) == []
    assert {verb for _, verb in hosting.log} == {"describe"}


def test_a_server_from_a_snapshot_shuts_what_has_left_it(dags: dict[str, Any], hosting: Hosting) -> None:
    move = moved(hosting)
    here = hosting.servers["vps-1"].accounts
    here["app"] = {"state": "serving", "epoch": 1, "move": None}
    (said,) = look(dags)
    assert said.startswith("vps-1 served app, which has lived on transit-1")
    assert (here["app"]["state"], here["app"]["epoch"], here["app"]["to"]) == ("moved", move.epoch, "10.20.0.21")
    assert here["blog"]["state"] == "serving"
    assert hosting.servers["transit-1"].accounts["app"]["state"] == "serving"
    assert registry.list_events(hosting.conn, account="app")[-1].kind == "account.shut"
    assert look(dags) == []


def test_what_came_back_before_the_registry_knows_is_left_alone(dags: dict[str, Any], hosting: Hosting) -> None:
    move = moved(hosting)
    hosting.servers["vps-1"].accounts["app"] = {"state": "serving", "epoch": move.epoch + 1, "move": "m9"}
    assert look(dags) == []
    assert hosting.servers["vps-1"].accounts["app"]["state"] == "serving"


def test_an_account_that_the_registry_does_not_know_is_left_alone(dags: dict[str, Any], hosting: Hosting) -> None:
    moved(hosting)
    hosting.servers["vps-1"].accounts["fresh"] = {"state": "serving", "epoch": 1, "move": None}
    assert look(dags) == []


def test_a_server_that_does_not_answer_hides_no_other(dags: dict[str, Any], hosting: Hosting) -> None:
    moved(hosting)
    hosting.servers["vps-1"].accounts["app"] = {"state": "serving", "epoch": 1, "move": None}
    del hosting.servers["web-1"]
    said = look(dags)
    assert len(said) == 2 and any("web-1" in one for one in said)
    assert hosting.servers["vps-1"].accounts["app"]["state"] == "moved"
