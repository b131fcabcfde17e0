"""`finish_server`: only of a shared server that every account has left; a person agrees; the server is asked again."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException

from include import registry
from include.registry.queries import board
from tests.dags import over
from tests.dags.hosting import Hosting
from tests.dags.steps import stand_in_for_look, step
from transhumance_airflow import approvals

PARAMS = {
    "server": "web-1",
    "then": "reinstall",
    "infrastructure": "2026",
    "because": "infrastructure 2022 ends",
    "not_quiet_because": None,
    "requested_by": "ops",
}


@pytest.fixture
def dag(dags: dict[str, Any]) -> Any:
    return dags["finish_server"]


@pytest.fixture
def emptied(dags: dict[str, Any], shared: Hosting, monkeypatch: pytest.MonkeyPatch) -> Hosting:
    """The old shared server, whose two accounts have moved to the new one."""
    stand_in_for_look(monkeypatch, lambda account, address: {"urls": {}})
    for account in ("shop", "wiki"):
        over.have_tested(dags, account)
        over.move(dags["migrate_account"], over.begin(dags["migrate_account"], account, f"perform-{account}"))
    return shared


def check(dag: Any, run_id: str = "finish-1", **more: Any) -> dict[str, Any]:
    return step(dag, "check_server", params={**PARAMS, **more}, run_id=run_id)


def erase(dag: Any, facts: dict[str, Any]) -> None:
    step(dag, "erase_server", facts=facts, params=PARAMS)


def kinds(hosting: Any) -> list[str]:
    return [event.kind for event in registry.list_events(hosting.conn, server="web-1", limit=100_000)]


def test_steps_in_order(dag: Any) -> None:
    names = ["check_server", "approve_finish", "erase_server", "put_into_service"]
    assert [task.task_id for task in dag.topological_sort()] == names
    for before, after in zip(names, names[1:], strict=False):
        assert dag.task_dict[before].downstream_task_ids == {after}
    assert (
        isinstance(dag.task_dict["approve_finish"], ApprovalOperator) and dag.task_dict["approve_finish"].fail_on_reject
    )


def test_an_emptied_server_is_installed_anew_and_takes_accounts_again(dag: Any, emptied: Hosting) -> None:
    conn = emptied.conn
    facts = check(dag)
    for _ in range(2):  # each step twice
        erase(dag, facts)
    assert registry.server(conn, "web-1").state == "reinstalling", "nobody can come to it"
    assert (emptied.servers["web-1"].infrastructure, emptied.servers["web-1"].accounts) == ("2026", {})
    for _ in range(2):
        step(dag, "put_into_service", facts=facts)
    now = registry.server(conn, "web-1")
    assert (now.state, now.infrastructure, now.host_key) == ("serving", "2026", emptied.servers["web-1"].host_key)
    assert kinds(emptied).count("server.finishing") == kinds(emptied).count("server.finished") == 1
    emptied.servers["web-1"].accounts["new"] = {"state": "serving", "epoch": 1, "move": None}
    erase(dag, facts)
    assert emptied.servers["web-1"].accounts, "a run that has ended erases nothing when it is cleared"
    assert registry.account(conn, "shop").server == "web-2"


def test_one_that_is_given_up_is_wiped_and_takes_none(dag: Any, emptied: Hosting) -> None:
    facts = check(dag, then="wipe", infrastructure=None)
    for _ in range(2):
        erase(dag, facts)
        step(dag, "put_into_service", facts=facts)
    now = registry.server(emptied.conn, "web-1")
    assert (now.state, now.host_key) == ("wiped", None) and "web-1" not in emptied.servers
    with pytest.raises(registry.RegistryRefused, match="is wiped: no account can live on it"):
        registry.add_account(emptied.conn, "late", "web-1", [])
    with pytest.raises(AirflowFailException, match="Server web-1 is wiped"):
        check(dag, "finish-2")


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        ("web-1", r"accounts live on it \(shop, wiki\)"),
        ("vps-1", "is a vps server: only a shared"),
        ("x-1", "no server"),
    ],
)
def test_one_that_is_lived_on_or_no_shared_one_is_refused(
    dag: Any, shared: Hosting, server: str, sentence: str
) -> None:
    with pytest.raises(AirflowFailException, match=sentence):
        check(dag, server=server)
    assert "server.finishing" not in kinds(shared)


def test_the_server_itself_is_asked_at_each_step(dag: Any, emptied: Hosting) -> None:
    facts = check(dag)
    here = emptied.servers["web-1"].accounts
    here["ghost"] = {"state": "serving", "epoch": 1, "move": None}
    with pytest.raises(
        AirflowFailException, match="web-1 is not empty and is not finished: The account ghost is serving"
    ):
        check(dag, "finish-2")
    with pytest.raises(registry.RegistryRefused, match="The account ghost is serving"):
        erase(dag, facts)
    assert registry.server(emptied.conn, "web-1").state == "serving", "nothing has changed"
    assert "ghost" in emptied.servers["web-1"].accounts


def test_who_has_come_meanwhile_or_is_on_the_way_keeps_it(dag: Any, emptied: Hosting) -> None:
    conn = emptied.conn
    facts = check(dag)
    registry.add_account(conn, "late", "web-1", [])
    with pytest.raises(registry.RegistryRefused, match=r"accounts live on it \(late\)"):
        erase(dag, facts)
    moved = registry.begin_over(conn, "late", "infrastructure-2026", "perform-late", "ops", None, "a test")
    for state in ("copying", "switching", "committed"):
        registry.advance_move(conn, moved.id, state)
    with pytest.raises(registry.RegistryRefused, match=r"takes part in moves \(late\)"):
        erase(dag, facts)
    assert registry.server(conn, "web-1").state == "serving"


@pytest.mark.parametrize("infrastructure", [None, "1999", "../x"])
def test_an_infrastructure_that_nothing_declares_is_refused(dag: Any, emptied: Hosting, infrastructure: str) -> None:
    with pytest.raises(AirflowFailException, match="Nothing declares infrastructure"):
        check(dag, infrastructure=infrastructure)


def test_what_still_comes_by_the_old_path_is_told_and_waited_for_or_signed_for(dag: Any, emptied: Hosting) -> None:
    now = time.time()
    passed = {"http": {"count": 4, "last": now - 3600}, "smtp": {"count": 0, "last": None}}
    emptied.servers["web-1"].accounts["shop"]["forwarded"] = passed
    with pytest.raises(AirflowFailException, match="shop: by the old path came 4 http; nothing since 60 min"):
        check(dag)
    facts = check(dag, not_quiet_because="Its owner is gone.")
    erase(dag, facts)
    (event,) = [
        one
        for one in registry.list_events(emptied.conn, server="web-1", limit=100_000)
        if one.kind == "server.finishing"
    ]
    assert event.detail["not_quiet_because"] == "Its owner is gone." and event.by == "ops"


def test_the_board_knows_the_run_until_it_has_ended(dag: Any, emptied: Hosting) -> None:
    assert board.finishing(emptied.conn) == []
    check(dag, "finish-1")
    facts = check(dag, "finish-2")
    assert board.finishing(emptied.conn) == [board.Finished("web-1", "finish-2")], "the one that asked last"
    erase(dag, facts)
    assert board.finishing(emptied.conn) == [board.Finished("web-1", "finish-2")]
    step(dag, "put_into_service", facts=facts)
    assert board.finishing(emptied.conn) == []


def test_what_came_long_ago_is_quiet(dag: Any, emptied: Hosting) -> None:
    forwarded = {"http": {"count": 4, "last": time.time() - 8 * 86400}}
    emptied.servers["web-1"].accounts["shop"]["forwarded"] = forwarded
    assert check(dag)["server"] == "web-1"


def test_a_name_that_leads_there_is_no_quiet(dag: Any, emptied: Hosting) -> None:
    emptied.conn.execute("UPDATE names SET points_at = '198.51.100.31' WHERE fqdn = 'shop.example'")
    with pytest.raises(AirflowFailException, match="The name shop.example leads to it"):
        check(dag)


def test_an_erasure_that_was_cut_off_goes_on(dag: Any, emptied: Hosting, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = check(dag)

    def killed(*_: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(emptied, "reinstall", killed)
    with pytest.raises(RuntimeError):
        erase(dag, facts)
    monkeypatch.undo()
    emptied.stand_in(monkeypatch)
    emptied.servers.pop("web-1")  # it was switched off and its disk is gone
    erase(dag, facts)
    step(dag, "put_into_service", facts=facts)
    assert registry.server(emptied.conn, "web-1").state == "serving"


def test_another_run_does_not_go_on_with_it(dag: Any, emptied: Hosting) -> None:
    facts = check(dag)
    registry.begin_finish(emptied.conn, "web-1", "finish-1", "ops", {"because": "x"})
    with pytest.raises(AirflowFailException, match="another run finishes it"):
        check(dag, "finish-2")
    erase(dag, facts)


def test_a_person_reads_what_both_say_and_may_say_no(
    dag: Any, emptied: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied.servers["web-1"].accounts["shop"]["forwarded"] = {"http": {"count": 4, "last": time.time() - 60}}
    facts = check(dag, not_quiet_because="Its owner is gone.")
    monkeypatch.setattr(ApprovalOperator, "execute", lambda self, context: "asked")
    asked = approvals.ApproveFinish(task_id="approve", facts=facts)
    assert asked.execute({}) == "asked"
    assert asked.subject == "Erase web-1, and reinstall it?"
    assert asked.body is not None
    for words in (
        "infrastructure 2022 ends",
        "have moved: shop, wiki",
        "it is empty",
        "Its owner is gone.",
        "    shop: by",
    ):
        assert words in asked.body

    def answer(chosen: str) -> Any:
        return asked.execute_complete(
            {},
            {
                "chosen_options": [chosen],
                "params_input": {},
                "responded_at": datetime.now(UTC),
                "responded_by_user": {"id": "7", "name": "olga"},
            },
        )

    with pytest.raises(AirflowFailException, match="olga said no: nothing was changed"):
        answer("Reject")
    assert registry.finish_approved_by(emptied.conn, "web-1", "finish-1") is None
    answer("Approve")
    assert registry.finish_approved_by(emptied.conn, "web-1", "finish-1") == "olga"
    monkeypatch.setattr(ApprovalOperator, "execute", lambda self, context: pytest.fail("asked twice"))
    assert asked.execute({}) is None


def test_by_airflow_itself(airflow: None, dag: Any, emptied: Hosting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole run; a person has said yes before."""
    monkeypatch.setattr(approvals.ApproveFinish, "question", lambda self, conn: None)
    ended = dag.test(run_conf={key: value for key, value in PARAMS.items() if value is not None})
    assert str(ended.state) == "success"
    assert {str(task.state) for task in ended.get_task_instances()} == {"success"}
    assert registry.server(emptied.conn, "web-1").infrastructure == "2026"
