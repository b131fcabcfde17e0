"""`run_campaign`: its shape, and campaigns of several accounts on a host in memory with a real registry."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from include import registry
from tests.dags import over
from tests.dags.account_tests import ENTRY, tell, whole
from tests.dags.hosting import Hosting, add_shared
from tests.dags.steps import stand_in_for_look, step
from transhumance_airflow.operators import runs as of_runs

FORM = {
    "entry": ENTRY,
    "accounts": "all",
    "wave_size": 3,
    "canaries": 1,
    "most_per_server": 2,
    "most_failures_percent": 40,
    "longest_wait_seconds": 2,
    "reason": None,
    "requested_by": "ops",
}
ACCOUNTS = ["a1", "a2", "a3", "a4", "a5", "shop", "wiki"]


class Runs:
    """Airflow's runs of a campaign, in memory: each is run when `go` is called, or left to run on."""

    def __init__(self, dags: dict[str, Any], hosting: Hosting) -> None:
        self.dags, self.hosting = dags, hosting
        self.states: dict[str, str] = {}
        self.waiting: list[tuple[str, str, dict[str, Any]]] = []
        self.most: Counter[str] = Counter()

    def state(self, dag_id: str, run_id: str) -> str | None:
        return self.states.get(run_id)

    def start(self, dag_id: str, run_id: str, conf: dict[str, Any], again: bool) -> None:
        assert run_id not in self.states, "a run was started twice"
        self.states[run_id] = "running"
        self.waiting.append((dag_id, run_id, conf))
        self.most[dag_id] = max(self.most[dag_id], sum(one[0] == dag_id for one in self.waiting))

    def go(self, which: Callable[[str], bool] = lambda run_id: True) -> None:
        """Runs what waits to its end."""
        for one in [one for one in self.waiting if which(one[1])]:
            self.waiting.remove(one)
            dag_id, run_id, conf = one
            try:
                self._run(dag_id, run_id, conf)
                self.states[run_id] = "success"
            except Exception as error:
                tell(self.dags[dag_id], "switch", run_id, conf["account"], error)
                self.states[run_id] = "failed"

    def _run(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
        if dag_id == "test_account":
            whole(self.dags[dag_id], conf["account"], conf["entry"], run_id)
            return
        dag = self.dags[dag_id]
        begun = over.begin(dag, conf["account"], run_id, requested_by=conf["requested_by"])
        assert conf["longest_wait_seconds"] == FORM["longest_wait_seconds"]
        try:
            over.move(dag, begun)
        except Exception:
            step(dag, "close_path", move=begun)
            raise


@pytest.fixture
def runs(dags: dict[str, Any], shared: Hosting, monkeypatch: pytest.MonkeyPatch) -> Runs:
    for account in ACCOUNTS[:-2]:
        add_shared(shared, account)
    runs = Runs(dags, shared)
    monkeypatch.setattr(of_runs, "run_state", runs.state)
    monkeypatch.setattr(of_runs, "start_run", runs.start)
    monkeypatch.setattr(of_runs, "BUSY", 0.0)
    stand_in_for_look(monkeypatch, lambda account, address: {"urls": {}})
    return runs


@pytest.fixture
def dag(dags: dict[str, Any], runs: Runs) -> Any:
    return dags["run_campaign"]


def act(dag: Any, action: str, run_id: str = "campaign-run", **more: Any) -> int | None:
    return step(dag, "act", params={**FORM, "action": action, **more}, run_id=run_id)


def start(dag: Any, run_id: str = "campaign-run", **more: Any) -> int:
    """The campaign that is begun."""
    return registry.certain(act(dag, "start", run_id, **more))


def perform(campaign: int) -> None:
    """One look of the task that performs; returns when the campaign has ended, else raises that it waits."""
    of_runs.PerformInWaves(task_id="perform_in_waves", campaign=campaign).execute({})


def to_the_end(campaign: int, runs: Runs, most: int = 60) -> None:
    for _ in range(most):
        try:
            return perform(campaign)
        except TaskDeferred:
            runs.go()
    raise AssertionError("the campaign does not end")


def states(conn: psycopg.Connection, campaign: int) -> dict[str, str]:
    return {one.account: one.state for one in registry.campaign_accounts(conn, campaign)}


def test_steps_in_order(dags: dict[str, Any]) -> None:
    dag = dags["run_campaign"]
    assert [task.task_id for task in dag.topological_sort()] == [
        "act",
        "look_ahead",
        "perform_in_waves",
        "write_report",
        "tell_result",
    ]


def test_canaries_first_then_waves_each_account_tested_and_performed(
    dag: Any, runs: Runs, shared: Hosting, tmp_path: Path
) -> None:
    whole(runs.dags["test_account"], "wiki", ENTRY, "tested-before")
    campaign = start(dag)
    assert act(dag, "start") == campaign, "the same run begins it once"
    with pytest.raises(TaskDeferred) as deferred:
        perform(campaign)
    trigger = deferred.value.trigger.serialize()[1]
    assert trigger["runs"] == [["test_account", f"campaign-{campaign}-testing-a1"]] and trigger["state"] == "running"
    assert states(shared.conn, campaign) == {**dict.fromkeys(ACCOUNTS, "waiting"), "a1": "testing"}
    runs.go()
    with pytest.raises(TaskDeferred):
        perform(campaign)
    assert states(shared.conn, campaign)["a1"] == "performing"
    assert Counter(states(shared.conn, campaign).values())["waiting"] == 6, "nothing begins before the canary has ended"
    to_the_end(campaign, runs)
    assert set(states(shared.conn, campaign).values()) == {"done"}
    assert {registry.account(shared.conn, account).server for account in ACCOUNTS} == {"web-2"}
    assert runs.most["test_account"] == runs.most["migrate_account"] == FORM["most_per_server"]
    assert f"campaign-{campaign}-testing-wiki" not in runs.states, "what was tested is not tested again"
    assert registry.campaign(shared.conn, campaign).state == "done"
    written = json.loads((tmp_path / step(dag, "write_report", campaign=campaign)).read_text())
    assert written["counts"] == {"done": 7}
    assert {one["held_ms"] for one in written["accounts"]} == {310.4}
    step(dag, "tell_result", campaign=campaign)


def test_an_account_that_fails_serves_on_and_the_report_says_why(
    dag: Any, runs: Runs, shared: Hosting, tmp_path: Path
) -> None:
    shared.failing["switch a4"] = ("prepared", "The database a4 has a prepared transaction: end it.")
    campaign = start(dag)
    to_the_end(campaign, runs)
    assert Counter(states(shared.conn, campaign).values()) == {"done": 6, "failed": 1}
    assert registry.account(shared.conn, "a4").server == "web-1"
    assert shared.servers["web-1"].accounts["a4"]["state"] == "serving"
    written = json.loads((tmp_path / step(dag, "write_report", campaign=campaign)).read_text())
    (failed,) = [one for one in written["accounts"] if one["state"] == "failed"]
    assert failed["lives_on"] == "web-1" and "prepared transaction" in failed["reason"]
    reported = [event for event in registry.list_events(shared.conn, limit=1_000_000) if event.kind == "report.written"]
    assert reported[-1].detail["counts"] == {"done": 6, "failed": 1}
    step(dag, "tell_result", campaign=campaign)


def test_it_stops_by_itself_when_too_many_of_a_wave_fail(dag: Any, runs: Runs, shared: Hosting) -> None:
    for account in ("a2", "a3"):
        shared.failing[f"switch {account}"] = ("not_equal", "The copies differ.")
    campaign = start(dag)
    to_the_end(campaign, runs)
    found = registry.campaign(shared.conn, campaign)
    assert found.state == "stopped" and "2 of 3 accounts of wave 2 failed (a2, a3), more than 40 %" in registry.certain(
        found.why
    )
    assert states(shared.conn, campaign)["a5"] == "left"
    assert registry.account(shared.conn, "wiki").server == "web-1"
    with pytest.raises(AirflowFailException, match="2 of 3 accounts"):
        step(dag, "tell_result", campaign=campaign)
    # Another campaign takes what is left.
    shared.failing.clear()
    again = start(dag, "another-run")
    assert again != campaign and {"a2", "a3", "a5", "shop", "wiki"} <= {*states(shared.conn, again)}


def test_a_canary_that_fails_stops_it(dag: Any, runs: Runs, shared: Hosting) -> None:
    shared.failing["switch a1"] = ("not_equal", "The copies differ.")
    campaign = start(dag)
    to_the_end(campaign, runs)
    assert Counter(states(shared.conn, campaign).values()) == {"failed": 1, "left": 6}


def test_paused_it_begins_nothing_and_resumed_it_goes_on(dag: Any, runs: Runs, shared: Hosting) -> None:
    campaign = start(dag)
    with pytest.raises(TaskDeferred):
        perform(campaign)
    assert act(dag, "pause", "another", reason="a holiday") is None
    runs.go()  # what was begun goes on to its end, and no further
    with pytest.raises(TaskDeferred) as deferred:
        perform(campaign)
    waits = deferred.value.trigger.serialize()[1]
    assert (waits["state"], waits["runs"]) == ("paused", [])
    assert Counter(states(shared.conn, campaign).values()) == {"testing": 1, "waiting": 6}
    act(dag, "resume", "a third")
    to_the_end(campaign, runs)
    assert set(states(shared.conn, campaign).values()) == {"done"}


def test_stopped_by_ops_what_runs_ends_and_the_rest_is_left(dag: Any, runs: Runs, shared: Hosting) -> None:
    campaign = start(dag)
    with pytest.raises(TaskDeferred):
        perform(campaign)
    act(dag, "stop", "another", reason="the customer calls")
    to_the_end(campaign, runs)
    assert Counter(states(shared.conn, campaign).values()) == {"left": 7}
    assert {one.reason for one in registry.campaign_accounts(shared.conn, campaign)} == {
        "The campaign was stopped: the customer calls"
    }
    step(dag, "tell_result", campaign=campaign)  # nothing failed


def test_an_account_with_a_blocker_is_left_and_counts_as_no_failure(dag: Any, runs: Runs, shared: Hosting) -> None:
    page = {"url": "https://x/", "test_url": "https://y/", "status": [200, 500], "title": ["a", ""], "likeness": 0.1}
    shared.pages = [page | {"php_errors": [], "seconds": [0.1, 0.1]}]
    campaign = start(dag)
    to_the_end(campaign, runs)
    assert set(states(shared.conn, campaign).values()) == {"left"}
    assert registry.campaign(shared.conn, campaign).state == "done"
    (reason,) = {
        registry.certain(one.reason).replace(one.account, "X")
        for one in registry.campaign_accounts(shared.conn, campaign)
    }
    assert reason.startswith("X cannot move to")


def test_killed_anywhere_it_goes_on_and_starts_nothing_twice(
    dag: Any, runs: Runs, shared: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = start(dag)

    def killed(*_: Any, **__: Any) -> None:
        raise SystemExit

    for _ in range(60):
        # Killed between what the registry noted and what Airflow was told, and after it.
        monkeypatch.setattr(of_runs, "start_run", killed)
        try:
            perform(campaign)
            break
        except (SystemExit, TaskDeferred):
            pass
        monkeypatch.setattr(of_runs, "start_run", runs.start)
        try:
            perform(campaign)
            break
        except TaskDeferred:
            runs.go()
    assert set(states(shared.conn, campaign).values()) == {"done"}


def test_who_performs_first_is_not_performed_again(dag: Any, runs: Runs, shared: Hosting) -> None:
    campaign = start(dag)
    with pytest.raises(TaskDeferred):
        perform(campaign)
    for account in ("a3", "shop"):
        whole(runs.dags["test_account"], account, ENTRY, f"own-{account}")
    begun = over.begin(runs.dags["migrate_account"], "a3", "own-perform")
    shop = over.begin(runs.dags["migrate_account"], "shop", "own-perform-2")
    over.move(runs.dags["migrate_account"], begun)
    with pytest.raises(AssertionError, match="does not end"):
        to_the_end(campaign, runs, 20)  # the shop is in its customer's hands
    now = states(shared.conn, campaign)
    assert now["shop"] == "waiting" and now["a3"] == now["wiki"] == "done"
    over.move(runs.dags["migrate_account"], shop)
    to_the_end(campaign, runs)
    assert states(shared.conn, campaign)["shop"] == "done"


@pytest.mark.parametrize(
    ("action", "more", "sentence"),
    [
        ("pause", {"reason": "x"}, "No campaign of infrastructure-2026 is under way"),
        ("start", {"accounts": "overdue", "entry": "postgresql-17"}, "No account is to be performed"),
        ("start", {"entry": "nothing"}, "no catalogue entry nothing"),
    ],
)
def test_refusals_change_nothing(
    dag: Any, runs: Runs, shared: Hosting, action: str, more: dict[str, str], sentence: str
) -> None:
    events = len(registry.list_events(shared.conn, limit=1_000_000))
    with pytest.raises(AirflowFailException, match=sentence):
        act(dag, action, **more)
    assert len(registry.list_events(shared.conn, limit=1_000_000)) == events


def test_a_second_campaign_of_an_entry_is_refused_and_a_pause_needs_a_reason(
    dag: Any, runs: Runs, shared: Hosting
) -> None:
    act(dag, "start")
    with pytest.raises(AirflowFailException):
        act(dag, "start", "another")
    with pytest.raises(AirflowFailException, match="pause needs a reason"):
        act(dag, "pause", "another")
    assert act(dag, "show", "a third") is None
