"""`take_back`: from a transit that dies, at each moment, back to what the original had."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.exceptions import HITLRejectException
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException

from include import registry
from tests.dags.hosting import Hosting
from tests.dags.steps import move, stand_in_for_look, step, up_to_hand_over, up_to_reinstalled, up_to_rerouted
from transhumance_airflow import approvals, conditions

PARAMS = {"server": "vps-1", "because": "its disk is gone", "requested_by": "ops"}


@pytest.fixture
def dag(dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`migrate_server`; accounts look the same wherever they are."""
    stand_in_for_look(monkeypatch, lambda account, address: {"urls": {}})
    return dags["migrate_server"]


def approval(found: dict[str, Any]) -> approvals.ApproveTakeBack:
    return approvals.ApproveTakeBack(task_id="approve", facts=found)


def taken_back(dags: dict[str, Any], twice: bool = True) -> dict[str, Any]:
    """A whole run after a person's yes, each step twice."""
    back = dags["take_back"]
    found = step(back, "check_transit", params=PARAMS)
    for _ in range(2 if twice else 1):
        step(back, "cut_transit_off", facts=found, params=PARAMS)
        for task in ("start_kept_disk", "take_accounts_back", "lead_names_and_ips_back"):
            step(back, task, facts=found)
    for _ in range(2 if twice else 1):
        step(back, "end_take_back", facts=found, params=PARAMS)
    return found


def test_before_the_reroute_the_original_serves_again(dag: Any, dags: dict[str, Any], hosting: Hosting) -> None:
    conn = hosting.conn
    migration = up_to_hand_over(dag, conn)
    move(dags, "blog", "transit-1", "perform-blog")
    hosting.servers["transit-1"].on = False
    taken_back(dags)
    there = hosting.servers["vps-1"].accounts["blog"]
    assert (there["state"], there["epoch"]) == ("serving", registry.account(conn, "blog").epoch)
    assert registry.account(conn, "blog").server == "vps-1"
    assert hosting.names.records["blog.example", "A"][0] == "198.51.100.11"
    assert registry.migration(conn, migration["id"]).state == "failed"
    assert registry.certain(registry.lease_of(conn, migration["id"])).ended_at is not None, "it costs nothing any more"
    # The run of migrate_server goes its way out, and does not wipe what nobody has looked at.
    assert conditions.ask(conn, "every_account_moved", {"migration": migration["id"]}) == conditions.GIVEN_UP
    step(dag, "point_names_home", migration=migration)
    assert hosting.names.records["blog.example", "A"] == ("198.51.100.11", 3600)
    with pytest.raises(registry.RegistryRefused, match="cannot be asked whether it is empty"):
        step(dag, "wipe_transit", migration=migration)
    hosting.wipe(registry.server(conn, "transit-1"))
    step(dag, "wipe_transit", migration=migration)
    step(dag, "return_transit", migration=migration)
    assert registry.server(conn, "transit-1").state == "free"


def test_after_the_reroute_the_ips_come_back_too(dag: Any, dags: dict[str, Any], hosting: Hosting) -> None:
    conn = hosting.conn
    migration = up_to_rerouted(dag, dags, conn)
    step(dag, "prove_original_empty", migration=migration)
    hosting.servers["transit-1"].on = False
    taken_back(dags)
    assert hosting.routes == {"198.51.100.11/32": "10.30.0.11", "2001:db8:100::11/128": "fd30::11"}
    assert {ip.routed_to for ip in registry.ips_of(conn, "vps-1")} == {"vps-1"}
    assert registry.accounts_not_on(conn, migration["id"], "vps-1") == []
    assert {one["state"] for one in hosting.servers["vps-1"].accounts.values()} == {"serving"}


def test_after_the_reinstall_the_kept_disk_stands_in_and_accounts_go_on_home(
    dag: Any, dags: dict[str, Any], hosting: Hosting
) -> None:
    conn = hosting.conn
    migration = up_to_reinstalled(dag, dags, conn)
    move(dags, "app", "vps-1", f"home-{migration['id']}-app")
    lost = hosting.servers["transit-1"]
    lost.accounts["newshop"] = {"state": "serving", "epoch": 1, "move": None}
    registry.add_account(conn, "newshop", "transit-1", [])
    lost.on = False
    found = taken_back(dags)
    there = hosting.servers["transit-1"]
    assert there is not lost and there.infrastructure == "2022" and lost in hosting.kept.values()
    assert there.accounts["blog"]["state"] == "serving"
    assert there.accounts["app"]["to"] == "10.20.0.11", "what arrives for it is passed on home"
    assert there.ips >= {"198.51.100.11", "198.51.100.21"}
    assert registry.account(conn, "newshop").removed_at is not None
    assert registry.migration(conn, migration["id"]).state == "reinstalled" and found["in_transits_place"]
    move(dags, "blog", "vps-1", f"home-{migration['id']}-blog")
    step(dag, "point_names_home", migration=migration)
    step(dag, "reroute_ips_home", migration=migration, transit="transit-1")
    step(dag, "discard_kept_disk", migration=migration)
    assert not hosting.kept, "the lost transit's disk goes as well"
    step(dag, "wipe_transit", migration=migration)
    step(dag, "return_transit", migration=migration)
    assert {one["state"] for one in hosting.servers["vps-1"].accounts.values()} == {"serving"}


def test_a_move_home_that_was_under_way_is_ended(dag: Any, dags: dict[str, Any], hosting: Hosting) -> None:
    conn = hosting.conn
    up_to_reinstalled(dag, dags, conn)
    begun = registry.begin_move(conn, "app", "vps-1", "home-1-app", "ops")
    registry.advance_move(conn, begun.id, "copying")
    hosting.servers["transit-1"].on = False
    taken_back(dags)
    assert registry.move(conn, begun.id).state == "returned"
    move(dags, "app", "vps-1", "home-1-app")
    assert hosting.servers["vps-1"].accounts["app"]["state"] == "serving"


def test_while_the_transit_answers_nothing_is_taken_back(dag: Any, dags: dict[str, Any], hosting: Hosting) -> None:
    up_to_rerouted(dag, dags, hosting.conn)
    with pytest.raises(AirflowFailException, match="Transit transit-1 answers, and has what was written since"):
        step(dags["take_back"], "check_transit", params=PARAMS)


@pytest.mark.parametrize(("server", "sentence"), [("vps-1", "no accounts on a transit"), ("web-1", "no accounts on")])
def test_where_nothing_is_away_nothing_is_taken_back(
    dag: Any, dags: dict[str, Any], hosting: Hosting, server: str, sentence: str
) -> None:
    with pytest.raises(AirflowFailException, match=sentence):
        step(dags["take_back"], "check_transit", params={**PARAMS, "server": server})


def test_a_person_reads_what_is_lost_before_and_may_say_no(
    dag: Any, dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = hosting.conn
    up_to_rerouted(dag, dags, conn)
    registry.add_account(conn, "newshop", "transit-1", [])
    hosting.servers["transit-1"].on = False
    found = step(dags["take_back"], "check_transit", params=PARAMS)
    monkeypatch.setattr(ApprovalOperator, "execute", lambda self, context: "asked")
    asked = approval(found)
    assert asked.execute({}) == "asked"
    moved = next(one for one in registry.moves_of_account(conn, "app") if one.direction == "out")
    assert asked.body
    assert f"* app: everything since {moved.committed_at:%Y-%m-%d %H:%M:%S}" in asked.body
    assert "* newshop: **all of it**" in asked.body and "transit-1 is switched off" in asked.body

    def no(*_: Any) -> None:
        raise HITLRejectException("no")

    monkeypatch.setattr(ApprovalOperator, "execute_complete", no)
    with pytest.raises(AirflowFailException, match="Ann said no: nothing was changed"):
        approval(found).execute_complete({}, {"responded_by_user": {"name": "Ann"}})
    assert registry.taken_back(conn, found["id"]) is None
    monkeypatch.setattr(ApprovalOperator, "execute_complete", lambda *_: SimpleNamespace())
    approval(found).execute_complete({}, {"responded_by_user": {"name": "Ann"}})
    assert [e.by for e in registry.list_events(conn, found["id"], limit=10_000) if e.kind == "take_back.approved"] == [
        "Ann"
    ]


def test_an_account_moves_nowhere_else_by_a_take_back(dag: Any, dags: dict[str, Any], hosting: Hosting) -> None:
    """The registry lets an account go home without a move for this alone."""
    conn = hosting.conn
    migration = up_to_rerouted(dag, dags, conn)
    with pytest.raises(registry.RegistryRefused, match="lives on transit-1 until a move commits"):
        registry.serves_again(conn, migration["id"], "app")
    with pytest.raises(registry.RegistryRefused):
        registry.advance(conn, migration["id"], "failed")
