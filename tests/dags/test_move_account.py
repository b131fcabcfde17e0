"""`move_account`: its shape, and its steps run on a host in memory with a real registry."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from include import registry
from include.agent.verbs.described import Description
from include.agent.verbs.reports import Switched
from include.hosts import AgentError
from include.moves import proof
from include.moves.channel import entry_without_secrets
from tests.dags.hosting import RESULTS, FakeHost, FakeServer, Hosting, described
from tests.dags.steps import MOVE, begin, operation, stand_in_for_look, step
from tests.dags.steps import move as move_as_a_whole
from transhumance_airflow import connections
from transhumance_airflow.operators import agent


@pytest.fixture
def dag(dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The DAG, with a look that sees one site."""
    dag = dags["move_account"]
    look = {"urls": {"https://app.example/": {"status": 200, "title": "x", "certificate": "c"}}}
    hosting.looks["app"] = look
    stand_in_for_look(monkeypatch, lambda account, address: hosting.looks[account])
    return dag


@pytest.fixture
def handed_over(hosting: Hosting) -> int:
    """A migration whose transit the customer has."""
    conn = hosting.conn
    migration = registry.begin_migration(conn, "vps-1", "infrastructure-2026", "run-1", "ops", "a test of moves")
    registry.request_transit(conn, migration.id)
    registry.assign_transit(conn, migration.id)
    key = hosting.reinstall(registry.server(conn, "transit-1"), "2026").host_key
    registry.enrol_server(conn, "transit-1", "2026", key, {})
    registry.hand_over(conn, migration.id)
    return migration.id


def test_steps_in_order(dags: dict[str, Any]) -> None:
    dag = dags["move_account"]
    assert set(dag.task_dict) == set(MOVE)
    in_a_row = [step for step in MOVE[:8] if step != "look_before"]
    for before, after in itertools.pairwise(in_a_row):
        assert dag.task_dict[before].downstream_task_ids >= {after}
    assert dag.task_dict["look_before"].upstream_task_ids == {"wait_for_turn"}
    assert "switch" in dag.task_dict["look_before"].downstream_task_ids
    # Once the commit is recorded, what is left goes side by side.
    assert dag.task_dict["record_move"].downstream_task_ids == {*MOVE[8:]}
    close = dag.task_dict["close_path"]
    assert close.is_teardown and close.on_failure_fail_dagrun
    # Both ends decide how the run ended: a look that found a difference must not be hidden by the clean-up.
    assert dag.task_dict["look_after"].downstream_task_ids == set()
    assert dag.task_dict["switch"].timeout >= timedelta(hours=1)
    assert dag.task_dict["switch"].extra["hold_seconds"] <= 85


def test_a_move_from_end_to_end(dag: Any, hosting: Hosting, handed_over: int) -> None:
    move = begin(dag)
    assert begin(dag) == move
    before = step(dag, "look_before", move=move)
    peer = step(dag, "open_path", move=move)
    assert peer == {"address": "10.20.0.21", "host_keys": [hosting.servers["transit-1"].host_key]}
    copied = operation(dag, "copy", move, peer)
    switched = operation(dag, "switch", move, peer)
    assert registry.account(hosting.conn, "app").server == "vps-1"
    step(dag, "record_move", move=move, switched=switched, copied=copied)
    assert registry.account(hosting.conn, "app").server == "transit-1"
    assert step(dag, "point_names", move=move) == []
    assert hosting.names.records["app.example", "A"] == ("198.51.100.21", 30)
    assert hosting.names.records["blog.example", "A"] == ("198.51.100.11", 3600), "another account's name is left"
    step(dag, "look_after", move=move, before=before)
    assert step(dag, "close_path", move=move) == "done"
    assert hosting.servers["vps-1"].pairs == hosting.servers["transit-1"].pairs == set()
    assert hosting.started == [f"{move['key']}-e{move['epoch']}-{verb}" for verb in ("copy", "switch")]


def test_a_source_that_claims_anothers_mail_is_asked_about_before_the_target_hears_of_it(
    dag: Any, hosting: Hosting, handed_over: int
) -> None:
    move = begin(dag)
    entry = hosting.servers["vps-1"].accounts["app"]
    file = described("app", entry)["account_file"]
    entry["account_file"] = file | {"mail": {"domains": ["gmail.com"], "mailboxes": []}}
    hosting.args.pop("receive", None)
    with pytest.raises(Exception, match="mail to 'gmail.com' is app's.*confirm DSN app --by YOU"):
        step(dag, "open_path", move=move)
    assert "receive" not in hosting.args
    with connections.registry_connection() as conn:
        registry.sync_accounts(conn, "vps-1", [entry_without_secrets(described("app", entry))])
        registry.confirm_account(conn, "app", "ops")
    step(dag, "open_path", move=move)
    assert hosting.args["receive"]["account_file"]["mail"]["domains"] == ["gmail.com"]


def test_every_step_can_be_repeated_after_the_end(dag: Any, hosting: Hosting, handed_over: int) -> None:
    test_a_move_from_end_to_end(dag, hosting, handed_over)
    move = begin(dag)
    before = step(dag, "look_before", move=move)
    peer = step(dag, "open_path", move=move)
    for verb in ("copy", "switch"):
        operation(dag, verb, move, peer)
    step(dag, "record_move", move=move, switched={}, copied={})
    assert step(dag, "point_names", move=move) == []
    step(dag, "look_after", move=move, before=before)
    assert step(dag, "close_path", move=move) == "done"
    assert len(hosting.started) == 2, "a finished operation was started again"


@pytest.mark.parametrize(
    ("account", "to_server", "sentence"),
    [
        ("nobody", "transit-1", "no account nobody"),
        ("app", "nowhere", "no server nowhere"),
        ("app", "vps-1", "app"),
        ("app", "web-1", "to transit-1 only"),
    ],
)
def test_refusals_change_nothing(
    dag: Any, hosting: Hosting, handed_over: int, account: str, to_server: str, sentence: str
) -> None:
    events = len(registry.list_events(hosting.conn))
    with pytest.raises(AirflowFailException, match=sentence):
        begin(dag, account, to_server)
    assert len(registry.list_events(hosting.conn)) == events
    assert {entry["state"] for entry in hosting.servers["vps-1"].accounts.values()} == {"serving"}


def test_an_account_that_is_not_ready_is_refused(dag: Any, hosting: Hosting, handed_over: int) -> None:
    hosting.servers["vps-1"].accounts["app"]["state"] = "held"
    with pytest.raises(AirflowFailException, match="app is not ready to move: on vps-1 it is held"):
        begin(dag)


def test_a_second_account_waits_its_turn(dag: Any, hosting: Hosting, handed_over: int) -> None:
    move = begin(dag)
    with pytest.raises(AirflowFailException, match="Account app of vps-1 is being moved: wait until"):
        begin(dag, "blog", run_id="perform-2")
    assert begin(dag, "blog", run_id="perform-2", if_another_moves="wait") is None, "what the panel asks for waits"
    step(dag, "open_path", move=move)
    step(dag, "close_path", move=move)
    assert begin(dag, "blog", run_id="perform-2")["account"] == "blog"


def test_the_same_account_does_not_wait_for_itself(dag: Any, handed_over: int) -> None:
    begin(dag)
    with pytest.raises(AirflowFailException, match="Account app is being moved already"):
        begin(dag, run_id="perform-2")


def test_a_failure_before_the_commit_returns_and_may_begin_again(dag: Any, hosting: Hosting, handed_over: int) -> None:
    move = begin(dag)
    peer = step(dag, "open_path", move=move)
    operation(dag, "copy", move, peer)
    hosting.failing["switch"] = ("not_equal", "The copies differ, so nothing was committed.")
    with pytest.raises(AirflowException, match="The copies differ"):
        operation(dag, "switch", move, peer)
    assert step(dag, "close_path", move=move) == "returned"
    assert registry.account(hosting.conn, "app").server == "vps-1"
    hosting.failing.clear()
    again = begin(dag)
    assert again["epoch"] > move["epoch"] and again["key"] == move["key"]
    peer = step(dag, "open_path", move=again)
    assert operation(dag, "switch", again, peer)["held_ms"] == 310.4


def test_a_move_that_visitors_would_wait_too_long_for_ends_at_once_and_is_returned(
    dag: Any, hosting: Hosting, handed_over: int
) -> None:
    move = begin(dag, longest_wait_seconds=0.2)
    peer = step(dag, "open_path", move=move)
    sentence = "Visitors of app would wait 0.9 s, more than the 0.2 s agreed: the database shop has no keys; add them."
    hosting.failing["switch"] = ("over_budget", sentence)
    with pytest.raises(AirflowFailException, match="Visitors of app would wait 0.9 s"):
        operation(dag, "switch", move, peer)
    assert hosting.args["switch"]["budget_seconds"] == 0.2
    assert step(dag, "close_path", move=move) == "returned"
    assert hosting.servers["vps-1"].accounts["app"]["state"] == "serving"
    hosting.failing.clear()
    again = begin(dag, run_id="perform-2", longest_wait_seconds=2)
    peer = step(dag, "open_path", move=again)
    operation(dag, "switch", again, peer)
    assert hosting.args["switch"]["budget_seconds"] == 2


def test_a_visitor_meets_two_holds_at_most_and_the_first_failure_is_told(
    dag: Any, hosting: Hosting, handed_over: int
) -> None:
    move = begin(dag)
    peer = step(dag, "open_path", move=move)
    hosting.failing["switch"] = ("not_equal", "The table a differs.")
    with pytest.raises(AirflowException, match="The table a differs"):
        operation(dag, "switch", move, peer)
    hosting.failing["switch"] = ("not_equal", "The table b differs.")
    with pytest.raises(AirflowException, match="The table b differs"):
        operation(dag, "switch", move, peer)
    hosting.failing.clear()
    with pytest.raises(AirflowFailException, match="2 times.*First: The table a differs. Then: The table b differs."):
        operation(dag, "switch", move, peer)
    assert len(hosting.started) == 2
    # A person who clears the run begins anew.
    step(dag, "close_path", move=move)
    again = begin(dag)
    step(dag, "open_path", move=again)
    assert operation(dag, "switch", again, peer)["held_ms"] == 310.4


def test_a_switch_that_has_committed_is_started_as_often_as_it_takes(
    dag: Any, hosting: Hosting, handed_over: int
) -> None:
    move = begin(dag)
    peer = step(dag, "open_path", move=move)
    operation(dag, "copy", move, peer)
    hosting.failing["switch"] = ("peer", "The other server does not answer.")
    for _ in range(2):
        with pytest.raises(AirflowException):
            operation(dag, "switch", move, peer)
    hosting.servers["vps-1"].accounts["app"].update(state="moved", move=move["key"], epoch=move["epoch"])
    hosting.failing.clear()
    assert operation(dag, "switch", move, peer)["held_ms"] == 310.4


def test_a_name_that_somebody_changed_does_not_stop_a_move(dag: Any, hosting: Hosting, handed_over: int) -> None:
    move = begin(dag)
    peer = step(dag, "open_path", move=move)
    copied, switched = (operation(dag, verb, move, peer) for verb in ("copy", "switch"))
    step(dag, "record_move", move=move, switched=switched, copied=copied)
    hosting.names.put("app.example", "A", "203.0.113.9", 60)
    (said,) = step(dag, "point_names", move=move)
    assert "app.example A holds 203.0.113.9" in said
    assert step(dag, "close_path", move=move) == "done"


def test_a_committed_move_keeps_its_path_and_goes_forward(dag: Any, hosting: Hosting, handed_over: int) -> None:
    move = begin(dag)
    peer = step(dag, "open_path", move=move)
    operation(dag, "copy", move, peer)
    registry.advance_move(hosting.conn, move["id"], "switching")
    hosting.servers["vps-1"].accounts["app"].update(state="moved", move=move["key"], epoch=move["epoch"])
    with pytest.raises(registry.RegistryRefused, match="goes forward"):
        step(dag, "close_path", move=move)
    assert move["key"] in hosting.servers["vps-1"].pairs
    assert step(dag, "open_path", move=begin(dag)) == peer


def test_a_look_that_differs_fails_with_every_difference(dag: Any, hosting: Hosting, handed_over: int) -> None:
    move = begin(dag)
    before = step(dag, "look_before", move=move)
    hosting.looks["app"] = {"urls": {"https://app.example/": {"status": 500, "title": "y", "certificate": "c"}}}
    with pytest.raises(registry.RegistryRefused, match="500, not 200.*another title"):
        step(dag, "look_after", move=move, before=before)


def test_an_operation_that_lasts_is_waited_for_without_a_worker(
    dag: Any, hosting: Hosting, handed_over: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "BUSY", 0.0)
    move = begin(dag)
    peer = step(dag, "open_path", move=move)
    name = f"{move['key']}-e{move['epoch']}-copy"
    operation(dag, "copy", move, peer)
    hosting.servers["vps-1"].operations[name].update(state="running", progress={"text": "files"})
    hosting.started.clear()
    with pytest.raises(TaskDeferred) as deferred:
        operation(dag, "copy", move, peer)
    assert deferred.value.method_name == "resume"
    assert deferred.value.timeout == timedelta(hours=12)
    assert deferred.value.trigger.serialize()[1]["operation"] == name
    assert hosting.started == [], "what runs was started again"


def given_up_while_it_rehearses(dag: Any, hosting: Hosting) -> tuple[dict[str, Any], dict[str, Any]]:
    """The switch has been started and rehearses; nothing is held yet."""
    move = begin(dag)
    peer = step(dag, "open_path", move=move)
    operation(dag, "copy", move, peer)
    registry.advance_move(hosting.conn, move["id"], "switching")
    return move, peer


def test_marked_failed_while_it_rehearses_the_switch_can_commit_no_more(
    dag: Any, hosting: Hosting, handed_over: int
) -> None:
    move, _ = given_up_while_it_rehearses(dag, hosting)
    assert step(dag, "close_path", move=move) == "returned"
    here = hosting.servers["vps-1"].accounts["app"]
    # What the agent's fence asks of a hold and of a commit: this move's, at this epoch.
    assert (here["epoch"], here["move"]) == (move["epoch"], None)
    assert hosting.log[-3:] == [("vps-1", "return"), ("vps-1", "unpair"), ("transit-1", "unpair")]
    again = begin(dag)
    assert again["epoch"] > move["epoch"]
    step(dag, "open_path", move=again)
    assert (here["epoch"], here["move"]) == (again["epoch"], again["key"])


def test_a_switch_that_commits_before_it_is_given_up_is_not_called_returned(
    dag: Any, hosting: Hosting, handed_over: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, _ = given_up_while_it_rehearses(dag, hosting)
    asked = FakeHost._describe

    def describe(self: FakeHost, server: FakeServer) -> Description:
        answer = asked(self, server)
        # It commits right after it was asked.
        server.accounts["app"].update(state="moved", move=move["key"], epoch=move["epoch"], released=False)
        return answer

    monkeypatch.setattr(FakeHost, "_describe", describe)
    with pytest.raises(AgentError, match="only goes forward"):
        step(dag, "close_path", move=move)
    assert registry.move(hosting.conn, move["id"]).state == "switching"
    assert move["key"] in hosting.servers["vps-1"].pairs and move["key"] in hosting.servers["transit-1"].pairs


def test_the_end_of_an_attempt_that_is_over_does_nothing(dag: Any, hosting: Hosting, handed_over: int) -> None:
    move, _ = given_up_while_it_rehearses(dag, hosting)
    step(dag, "close_path", move=move)
    again = begin(dag)
    step(dag, "open_path", move=again)
    hosting.log.clear()
    assert step(dag, "close_path", move=move) == "preparing", "another run of the task, that was late"
    assert hosting.log == []
    with pytest.raises(registry.RegistryRefused, match="another has begun since"):
        registry.advance_move(hosting.conn, move["id"], "returned", epoch=move["epoch"])
    assert registry.move(hosting.conn, move["id"]).state == "preparing"


def test_a_switch_marked_as_success_changes_nothing_that_is_not_so(
    dag: Any, hosting: Hosting, handed_over: int
) -> None:
    move, _ = given_up_while_it_rehearses(dag, hosting)
    with pytest.raises(AirflowFailException, match="app has not moved: vps-1 itself says so"):
        step(dag, "record_move", move=move, switched=None, copied=None)
    assert registry.account(hosting.conn, "app").server == "vps-1"
    assert step(dag, "close_path", move=move) == "returned"
    assert hosting.names.records["app.example", "A"] == ("198.51.100.11", 3600)


def test_a_switch_marked_as_success_that_is_one_keeps_its_figures(dag: Any, hosting: Hosting, handed_over: int) -> None:
    move, peer = given_up_while_it_rehearses(dag, hosting)
    operation(dag, "switch", move, peer)
    hosting.servers["vps-1"].accounts["app"]["released"] = False
    with pytest.raises(AirflowFailException, match="has not moved"):
        step(dag, "record_move", move=move, switched=None, copied=None)
    hosting.servers["vps-1"].accounts["app"]["released"] = True
    step(dag, "record_move", move=move, switched=None, copied=None)
    assert registry.move(hosting.conn, move["id"]).figures.switch.held_ms == 310.4
    assert registry.account(hosting.conn, "app").server == "transit-1"


def test_a_switch_that_gives_nonsense_is_told_and_proves_nothing(
    dag: Any, hosting: Hosting, handed_over: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server that the account has left may have been taken over: it does not keep it from being recorded."""
    move, peer = given_up_while_it_rehearses(dag, hosting)
    monkeypatch.setitem(RESULTS, "switch", {"held_ms": "long", "verified": {"equal": True}})
    with pytest.raises(AirflowFailException, match="What answers switch on this server is not its agent"):
        operation(dag, "switch", move, peer)
    step(dag, "record_move", move=move, switched=None, copied=None)
    recorded = registry.move(hosting.conn, move["id"])
    assert recorded.figures.switch == Switched() and not proof.of(recorded.figures).verified
    assert registry.account(hosting.conn, "app").server == "transit-1"


@pytest.mark.parametrize("other", [{"account": "blog"}, {"epoch": 9}, {"peer": {"address": "10.20.0.99"}}])
def test_an_operation_of_the_same_name_for_something_else_is_not_taken_for_this_one(
    dag: Any, hosting: Hosting, handed_over: int, other: dict[str, Any]
) -> None:
    """A registry that was restored from a backup gives its ids once more, and servers keep results for weeks."""
    move, peer = given_up_while_it_rehearses(dag, hosting)
    known = hosting.servers["vps-1"].operations[f"{move['key']}-e{move['epoch']}-copy"]
    known["args"] = {**known["args"], **other}
    with pytest.raises(AirflowFailException, match="knows m.*-copy as copy of .* nothing is taken from it"):
        operation(dag, "copy", move, peer)
    known["args"], known["verb"] = {**known["args"], "account": "app"}, "check"
    with pytest.raises(AirflowFailException, match="as check of app"):
        operation(dag, "copy", move, peer)
    del known["verb"]
    with pytest.raises(AirflowFailException, match="earlier version"):
        operation(dag, "copy", move, peer)


def test_an_operation_may_have_been_given_another_time(dag: Any, hosting: Hosting, handed_over: int) -> None:
    move, peer = given_up_while_it_rehearses(dag, hosting)
    operation(dag, "switch", move, peer)
    hosting.servers["vps-1"].operations[f"{move['key']}-e{move['epoch']}-switch"]["args"]["hold_seconds"] = 5
    assert operation(dag, "switch", move, peer)["held_ms"] == 310.4


def test_the_registry_has_the_sources_own_time_of_the_commit(dag: Any, hosting: Hosting, handed_over: int) -> None:
    """Airflow may come back a day after a switch: what is billed goes by the commit."""
    move, peer = given_up_while_it_rehearses(dag, hosting)
    operation(dag, "switch", move, peer)
    began = registry.move(hosting.conn, move["id"]).began_at
    hosting.servers["vps-1"].accounts["app"]["since"] = began.timestamp() + 0.001
    step(dag, "record_move", move=move, switched={}, copied={})
    committed = registry.certain(registry.move(hosting.conn, move["id"]).committed_at)
    assert (committed - began).total_seconds() == pytest.approx(0.001, abs=1e-4)


def test_a_hook_that_refuses_ends_the_move_with_its_line(dag: Any, hosting: Hosting, handed_over: int) -> None:
    hosting.hooks["transit-1", "before-move"] = "The disk of transit-1 is being checked."
    move = begin(dag)
    with pytest.raises(AirflowFailException, match='says: "The disk of transit-1 is being checked."'):
        step(dag, "run_hook_before", move=move)
    assert [(server, hook) for server, hook, _ in hosting.hooked] == [
        ("vps-1", "before-move"),
        ("transit-1", "before-move"),
    ]
    assert step(dag, "close_path", move=move) == "returned"
    assert hosting.servers["vps-1"].accounts["app"]["state"] == "serving"
    hosting.hooks["transit-1", "before-move"] = ""
    assert step(dag, "run_hook_before", move=begin(dag)) == ["transit-1"]


def test_a_hook_that_fails_after_the_move_changes_nothing_and_is_told(
    dag: Any, dags: dict[str, Any], hosting: Hosting, handed_over: int
) -> None:
    hosting.hooks["vps-1", "after-move"] = "No route to the panel."
    move_as_a_whole(dags, "app", "transit-1", "perform-1")
    made = registry.moves_of(hosting.conn, handed_over)[0]
    facts = begin(dag, run_id="perform-1")
    (told,) = step(dag, "run_hook_after", move=facts)
    assert told.startswith("vps-1: ") and "No route to the panel." in told
    assert registry.account(hosting.conn, "app").server == "transit-1"
    (event,) = [event for event in registry.list_events(hosting.conn, limit=100_000) if event.kind == "hook.failed"]
    assert (event.account, event.server, event.move, event.migration) == ("app", "vps-1", made.id, handed_over)
    about = {"account": "app", "direction": "out", "source": "vps-1", "target": "transit-1", "move": made.key}
    assert hosting.hooked[-2:] == [(one, "after-move", about) for one in ("vps-1", "transit-1")]
    assert step(dag, "run_hook_before", move=facts) == [], "after the commit nobody is asked any more"
