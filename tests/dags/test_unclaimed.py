"""What lives on a server and is no account's stops its migration until somebody signs; nobody waits for who is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include import registry
from include.agent import verbs
from include.moves import servers
from tests.dags.hosting import Hosting
from tests.dags.steps import PARAMS, move, stand_in_for_look, step, up_to_hand_over, up_to_rerouted
from transhumance_airflow import conditions

ERP = {"kind": "files", "name": "/srv/erp/", "sentence": "/srv/erp/ belongs to no account and no package (3 files)."}
DATA = {"kind": "mount", "name": "/data", "sentence": "/dev/sdb1 (ext4) is mounted at /data, and is no account's."}


@pytest.fixture
def dag(dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`migrate_server`; accounts look the same wherever they are."""
    stand_in_for_look(monkeypatch, lambda account, address: {"urls": {}})
    return dags["migrate_server"]


def sign(hosting: Hosting, thing: dict[str, str], server: str = "vps-1") -> None:
    registry.sign_unclaimed(hosting.conn, server, thing["kind"], thing["name"], "the customer knows", "olga")


def everybody_moved(dag: Any, dags: Any, hosting: Hosting) -> dict:
    migration = up_to_hand_over(dag, hosting.conn)
    for account in ("blog", "app"):
        move(dags, account, "transit-1", f"perform-{account}")
    return migration


def test_nothing_begins_before_each_thing_is_signed_for(dag: Any, hosting: Hosting) -> None:
    hosting.servers["vps-1"].unclaimed = [ERP, DATA]
    with pytest.raises(AirflowFailException) as refused:
        step(dag, "check_server", params=PARAMS, run_id="run-1")
    assert ERP["sentence"] in str(refused.value) and DATA["sentence"] in str(refused.value)
    assert "python -m cli sign vps-1 KIND NAME" in str(refused.value)
    assert registry.migration_of(hosting.conn, "vps-1") is None
    assert [one.name for one in registry.unclaimed_of(hosting.conn, "vps-1")] == ["/srv/erp/", "/data"]
    sign(hosting, ERP)
    with pytest.raises(AirflowFailException) as refused:
        step(dag, "check_server", params=PARAMS, run_id="run-1")
    assert ERP["sentence"] not in str(refused.value) and DATA["sentence"] in str(refused.value)
    sign(hosting, DATA)
    assert step(dag, "check_server", params=PARAMS, run_id="run-1")["server"] == "vps-1"
    signed = [event.by for event in registry.list_events(hosting.conn) if event.kind == "unclaimed.signed"]
    assert signed == ["olga", "olga"]


def test_nothing_is_rerouted_before_what_came_meanwhile_is_signed_for(
    dag: Any, dags: dict[str, Any], hosting: Hosting
) -> None:
    migration = everybody_moved(dag, dags, hosting)
    hosting.servers["vps-1"].unclaimed = [DATA]
    with pytest.raises(registry.RegistryRefused, match="mounted at /data"):
        step(dag, "look_at_original", migration=migration)
    task = dag.task_dict["look_at_original"]
    assert task.upstream_task_ids == {"wait_until_every_account_is_moved"}, "before names and IPs"
    assert task.downstream_task_ids == {"point_names_at_transit"} and hosting.routes == {}
    sign(hosting, DATA)
    step(dag, "look_at_original", migration=migration)


def test_nothing_is_rerouted_while_the_original_itself_serves_somebody(
    dag: Any, dags: dict[str, Any], hosting: Hosting
) -> None:
    """One whose name the registry knows from elsewhere is in no migration: the reinstallation would erase it."""
    migration = everybody_moved(dag, dags, hosting)
    hosting.servers["vps-1"].accounts["shop"] = {"state": "serving", "epoch": 1, "move": None}
    with pytest.raises(registry.RegistryRefused, match="vps-1 itself serves shop"):
        step(dag, "look_at_original", migration=migration)


def test_nothing_is_erased_before_what_is_there_at_the_act_is_signed_for(
    dag: Any, dags: dict[str, Any], hosting: Hosting
) -> None:
    migration = up_to_rerouted(dag, dags, hosting.conn)
    hosting.servers["vps-1"].unclaimed = [ERP]
    with pytest.raises(registry.RegistryRefused, match="vps-1 is not empty and is not reinstalled: /srv/erp/"):
        step(dag, "prove_original_empty", migration=migration)
    sign(hosting, ERP)
    step(dag, "prove_original_empty", migration=migration)
    hosting.servers["vps-1"].unclaimed = [ERP, DATA]
    with pytest.raises(registry.RegistryRefused, match="mounted at /data") as refused:
        step(dag, "reinstall_original", migration=migration)
    assert ERP["sentence"] not in str(refused.value)
    sign(hosting, DATA)
    step(dag, "reinstall_original", migration=migration)
    assert hosting.servers["vps-1"].infrastructure == "2026"


def test_who_agrees_to_the_reinstall_sees_what_was_signed_for() -> None:
    proof = registry.Proof("vps-1", "transit-1", "2026", True, [], ["app"], [], ["198.51.100.11"])
    now = datetime.now(UTC)
    signed = registry.Unclaimed("vps-1", "files", "/srv/erp/", "3 files.", now, now, "olga", "the customer knows", now)
    unsigned = registry.Unclaimed("vps-1", "mount", "/data", "A disk.", now, now, None, None, None)
    answer = verbs.Emptiness(empty=True, because=[], unclaimed=[])
    shown = servers.emptiness(proof, answer, [unsigned, signed])
    assert shown.endswith("**Signed for, and erased with it**\n\n    3 files. (signed by olga: the customer knows)")
    assert "Signed for" not in servers.emptiness(proof, answer, [unsigned])


def test_a_transit_is_not_handed_over_with_what_is_nobodys(dag: Any, hosting: Hosting) -> None:
    migration = step(dag, "check_server", params=PARAMS, run_id="run-1")
    step(dag, "request_transit", migration=migration)
    conditions.ask(hosting.conn, "transit_assigned", {"migration": migration["id"]})
    step(dag, "install_transit", migration=migration)
    step(dag, "enrol_transit", migration=migration, transit="transit-1")
    hosting.servers["transit-1"].unclaimed = [ERP]
    with pytest.raises(registry.RegistryRefused, match="transit-1 is not empty and is not handed over: /srv/erp/"):
        step(dag, "hand_over", migration=migration, transit="transit-1")
    sign(hosting, ERP, "transit-1")
    step(dag, "hand_over", migration=migration, transit="transit-1")


# --- an account that was deleted ---


def looked(dags: Any, hosting: Hosting, minutes: int = 0) -> list[str]:
    """What the hourly look says, so many minutes after the one before."""
    hosting.conn.execute("UPDATE accounts SET missing_since = missing_since - make_interval(mins => %s)", [minutes])
    return step(dags["look_at_servers"], "look_at_servers")


def test_an_account_that_was_deleted_is_not_waited_for_after_two_looks(
    dag: Any, dags: dict[str, Any], hosting: Hosting
) -> None:
    conn = hosting.conn
    migration = up_to_hand_over(dag, conn)
    move(dags, "blog", "transit-1", "perform-blog")
    del hosting.servers["vps-1"].accounts["app"]
    waiting = {"migration": migration["id"]}
    (said,) = looked(dags, hosting)
    assert said.startswith("vps-1 itself has no account app any more: find out who has removed it.")
    assert looked(dags, hosting) == [said], "two looks at once are one"
    assert conditions.ask(conn, "every_account_moved", waiting) is None
    (said,) = looked(dags, hosting, minutes=11)
    assert said == "vps-1 itself has no account app any more: it was removed, and nobody waits for it."
    assert conditions.ask(conn, "every_account_moved", waiting) is True
    assert looked(dags, hosting) == []
    step(dag, "look_at_original", migration=migration)
    step(dag, "point_names_at_transit", migration=migration)
    lease = registry.certain(registry.lease_of(conn, migration["id"]))
    (gone,) = registry.certain(conn.execute("SELECT missing_since FROM accounts WHERE name = 'app'").fetchone())
    moved = registry.moves_of_account(conn, "blog")[-1].committed_at
    assert lease.last_account_left_at == max(lease.handed_over_at, gone, moved)
    kinds = [event.kind for event in registry.list_events(conn, account="app")]
    assert kinds.count("account.missing") == 1 and kinds[-1] == "account.removed"


def test_an_account_of_which_something_is_left_is_waited_for(dag: Any, dags: dict[str, Any], hosting: Hosting) -> None:
    up_to_hand_over(dag, hosting.conn)
    del hosting.servers["vps-1"].accounts["app"]
    hosting.servers["vps-1"].left = {"app"}
    looked(dags, hosting)
    (said,) = looked(dags, hosting, minutes=60)
    assert "there still is a user or home of that name" in said
    assert registry.account(hosting.conn, "app").removed_at is None


def test_where_nobody_migrates_an_account_that_is_gone_is_only_told(
    dag: Any, dags: dict[str, Any], hosting: Hosting
) -> None:
    """The server's disk may be an older one."""
    del hosting.servers["vps-1"].accounts["app"]
    said = looked(dags, hosting)
    assert said == looked(dags, hosting, minutes=60) and len(said) == 1
    assert registry.account(hosting.conn, "app").removed_at is None


def test_an_account_that_comes_back_or_cannot_be_read_is_not_gone(
    dag: Any, dags: dict[str, Any], hosting: Hosting
) -> None:
    up_to_hand_over(dag, hosting.conn)
    here = hosting.servers["vps-1"]
    app = here.accounts.pop("app")
    looked(dags, hosting)
    here.unreadable = {"app"}
    assert looked(dags, hosting, minutes=60) == []
    here.unreadable = set()
    (said,) = looked(dags, hosting, minutes=60)
    assert "until the next look says so too" in said, "it begins anew"
    here.accounts["app"] = app
    assert looked(dags, hosting, minutes=60) == []
    assert registry.account(hosting.conn, "app").removed_at is None


def test_an_agent_of_before_says_nothing_of_who_is_gone(
    dag: Any, dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    up_to_hand_over(dag, hosting.conn)
    del hosting.servers["vps-1"].accounts["app"]
    was = replace(hosting.host("vps-1").call(verbs.Describe()), unreadable=None)
    monkeypatch.setattr("tests.dags.hosting.FakeHost._describe", lambda *_: was)
    assert looked(dags, hosting) == [] == looked(dags, hosting, minutes=60)


def test_an_account_that_is_moving_is_not_gone(dag: Any, dags: dict[str, Any], hosting: Hosting) -> None:
    up_to_hand_over(dag, hosting.conn)
    registry.begin_move(hosting.conn, "app", "transit-1", "perform-app", "acme")
    del hosting.servers["vps-1"].accounts["app"]
    assert looked(dags, hosting) == [] == looked(dags, hosting, minutes=60)
