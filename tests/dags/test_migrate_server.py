"""`migrate_server`: its shape, and its steps run on a host in memory with a real registry."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from include import registry
from include.facts import MigrationFacts
from include.hosts import NO_AGENT, AgentError, HostUnreachable
from include.moves import report
from include.registry.queries import board
from tests.dags.account_tests import whole
from tests.dags.hosting import Hosting
from tests.dags.steps import (
    PARAMS,
    begin,
    move,
    operation,
    stand_in_for_look,
    step,
    up_to_hand_over,
    up_to_reinstalled,
    up_to_rerouted,
)
from transhumance_airflow import conditions
from transhumance_airflow.operators import runs as of_runs
from transhumance_airflow.operators import wait
from transhumance_airflow.step import read

ORIGINALS = ["198.51.100.11", "2001:db8:100::11"]
TRANSITS = ["198.51.100.21", "2001:db8:100::21"]
STEPS = [
    "check_server",
    "request_transit",
    "wait_for_transit",
    "install_transit",
    "enrol_transit",
    "hand_over",
    "wait_until_every_account_is_moved",
    "look_at_original",
    "point_names_at_transit",
    "reroute_ips_to_transit",
    "prove_original_empty",
    "approve_reinstall",
    "reinstall_original",
    "enrol_original",
    "move_accounts_home",
    "point_names_home",
    "reroute_ips_home",
    "discard_kept_disk",
    "wipe_transit",
    "return_transit",
    "write_report",
]


@pytest.fixture
def dag(dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The DAG; accounts look the same wherever they are."""
    stand_in_for_look(monkeypatch, lambda account, address: {"urls": {}})
    return dags["migrate_server"]


def test_from_the_hand_over_on_everybody_knows_until_when_the_transit_is_free(dag: Any, hosting: Hosting) -> None:
    migration = up_to_hand_over(dag, hosting.conn)
    (transit,) = (one for one in board.pool(hosting.conn) if one.migration == migration["id"])
    assert (registry.certain(transit.free_until) - datetime.now(UTC)).days == 6


def test_an_account_created_since_the_hand_over_can_be_performed_at_once(
    dag: Any, dags: dict[str, Any], hosting: Hosting
) -> None:
    up_to_hand_over(dag, hosting.conn)
    hosting.servers["vps-1"].accounts["late"] = {"state": "serving", "epoch": 1, "move": None}
    move(dags, "late", "transit-1", "perform-late")
    assert registry.account(hosting.conn, "late").server == "transit-1"


def test_steps_in_order(dags: dict[str, Any]) -> None:
    dag = dags["migrate_server"]
    assert [task.task_id for task in dag.topological_sort() if not task.task_id.startswith("wait_until_names")] == STEPS
    for task_id in ("wait_for_transit", "wait_until_every_account_is_moved"):
        assert isinstance(dag.task_dict[task_id], wait.WaitForRegistry)
        assert dag.task_dict[task_id].task_display_name != task_id, "the graph says for whom it waits"


def test_a_migration_from_end_to_end(dag: Any, dags: dict[str, Any], hosting: Hosting, tmp_path: Path) -> None:
    conn = hosting.conn
    migration = up_to_hand_over(dag, conn)
    waiting = {"migration": migration["id"]}
    assert conditions.ask(conn, "every_account_moved", waiting) is None
    move(dags, "blog", "transit-1", "perform-blog")
    # The customer makes another account on the original while the others move.
    hosting.servers["vps-1"].accounts["late"] = {"state": "serving", "epoch": 1, "move": None}
    move(dags, "app", "transit-1", "perform-app")
    hosting.names.records["late.example", "A"] = ("198.51.100.11", 600)
    hosting.servers["vps-1"].accounts["blog"]["forwarded"] = {"http": {"count": 4, "last": 1e9}}
    conditions.refresh_original(conn, read(MigrationFacts, migration))
    assert hosting.names.records["late.example", "A"] == ("198.51.100.11", 30), "its name is the customer's as well"
    assert conditions.ask(conn, "every_account_moved", waiting) is None
    move(dags, "late", "transit-1", "perform-late")
    assert conditions.ask(conn, "every_account_moved", waiting) is True

    step(dag, "point_names_at_transit", migration=migration)
    assert hosting.names.records["app.example", "A"] == ("198.51.100.21", 30)
    step(dag, "reroute_ips_to_transit", migration=migration, transit="transit-1")
    assert hosting.routes == {"198.51.100.11/32": "10.30.0.21", "2001:db8:100::11/128": "fd30::21"}
    assert hosting.servers["transit-1"].sends_from == [*ORIGINALS, *TRANSITS]
    assert hosting.servers["vps-1"].sends_from == [], "no answer comes back to an address that leads elsewhere"
    step(dag, "prove_original_empty", migration=migration)
    step(dag, "reinstall_original", migration=migration)
    assert step(dag, "enrol_original", migration=migration)["debian"] == "13"
    assert hosting.servers["vps-1"].sends_from == [], "its IPs lead to the transit until they are home"
    for account in ("app", "blog", "late"):
        move(dags, account, "vps-1", f"home-{migration['id']}-{account}")
    assert conditions.ask(conn, "every_account_moved", waiting) is True, "what was true once does not wait again"
    step(dag, "point_names_home", migration=migration)
    assert hosting.names.records["app.example", "A"] == ("198.51.100.11", 3600)
    step(dag, "reroute_ips_home", migration=migration, transit="transit-1")
    assert hosting.routes == {"198.51.100.11/32": "10.30.0.11", "2001:db8:100::11/128": "fd30::11"}
    assert not hosting.servers["transit-1"].ips & {"198.51.100.11", "2001:db8:100::11"}
    assert hosting.servers["transit-1"].sends_from == TRANSITS
    assert hosting.servers["vps-1"].sends_from == ORIGINALS
    (disk,) = hosting.kept.values()
    assert {one["state"] for one in disk.accounts.values()} == {"moved"}, "the disk that the original had before"
    step(dag, "discard_kept_disk", migration=migration)
    assert not hosting.kept
    step(dag, "wipe_transit", migration=migration)
    assert "transit-1" not in hosting.servers
    step(dag, "return_transit", migration=migration)
    written = json.loads((tmp_path / step(dag, "write_report", migration=migration)).read_text())
    assert len(written["moves"]) == 6 and written["migration"]["state"] == "home"
    assert "secret" not in json.dumps(written)
    assert {(row["account"], row["direction"]) for row in written["accounts"]} == {
        (account, direction) for account in ("app", "blog", "late") for direction in ("out", "home")
    }
    row = written["accounts"][0]
    assert (row["agreed_ms"], row["expected_ms"], row["held_ms"]) == (1000, 280.0, 310.4)
    assert row["databases"][0]["why"] == "It has keys everywhere." and row["verified"]["rows"] == 7
    assert written["forwarded"]["blog"] == {"http": {"count": 4, "last": 1e9}}
    assert hosting.names.records["late.example", "A"] == ("198.51.100.11", 600)
    assert registry.migration(conn, migration["id"]).state == "done"

    # Cleared at the end, nothing happens a second time to a transit that may be another customer's.
    registry.enrol_server(
        conn, "transit-1", "2026", hosting.reinstall(registry.server(conn, "transit-1"), "2026").host_key, {}
    )
    step(dag, "wipe_transit", migration=migration)
    assert "transit-1" in hosting.servers


@pytest.mark.parametrize(
    ("server", "entry", "sentence"),
    [
        ("nowhere", "infrastructure-2026", "no server nowhere"),
        ("vps-1", "nothing", "no catalogue entry nothing"),
        ("web-1", "infrastructure-2026", "only a dedicated server or VPS"),
        ("transit-1", "infrastructure-2026", "transit-1"),
    ],
)
def test_refusals_change_nothing(dag: Any, hosting: Hosting, server: str, entry: str, sentence: str) -> None:
    hosting.servers["vps-1"].accounts["late"] = {"state": "serving", "epoch": 1, "move": None}
    hosting.reinstall(registry.server(hosting.conn, "transit-1"), "2022")
    events = len(registry.list_events(hosting.conn))
    with pytest.raises(AirflowFailException, match=sentence):
        step(dag, "check_server", params={**PARAMS, "server": server, "entry": entry}, run_id="run-1")
    assert len(registry.list_events(hosting.conn)) == events, "something was written in spite of the refusal"


def test_a_server_that_lacks_what_a_move_needs_does_not_begin(dag: Any, hosting: Hosting) -> None:
    """By the same sentence as the doctor's."""
    hosting.servers["vps-1"].readiness = {"missing_programs": ["nft"]}
    with pytest.raises(AirflowFailException, match="vps-1 lacks nft: install what brings them"):
        step(dag, "check_server", params=PARAMS, run_id="run-1")
    assert registry.migration_of(hosting.conn, "vps-1") is None
    hosting.servers["vps-1"].readiness = None
    assert step(dag, "check_server", params=PARAMS, run_id="run-1")["server"] == "vps-1"


def test_a_server_that_is_being_migrated_is_refused(dag: Any, hosting: Hosting) -> None:
    step(dag, "check_server", params=PARAMS, run_id="run-1")
    with pytest.raises(AirflowFailException, match="being migrated already"):
        step(dag, "check_server", params=PARAMS, run_id="run-2")


def test_an_original_that_holds_an_account_is_not_reinstalled(dag: Any, dags: dict[str, Any], hosting: Hosting) -> None:
    migration = up_to_rerouted(dag, dags, hosting.conn)
    hosting.servers["vps-1"].accounts["left"] = {"state": "serving", "epoch": 1, "move": None}
    with pytest.raises(registry.RegistryRefused, match="The account left is serving here"):
        step(dag, "prove_original_empty", migration=migration)
    del hosting.servers["vps-1"].accounts["left"]
    step(dag, "prove_original_empty", migration=migration)
    # It is asked again at the moment of the act.
    hosting.servers["vps-1"].accounts["left"] = {"state": "serving", "epoch": 1, "move": None}
    with pytest.raises(registry.RegistryRefused, match="The account left is serving here"):
        step(dag, "reinstall_original", migration=migration)
    assert hosting.servers["vps-1"].infrastructure == "2022"


def test_a_server_that_does_not_answer_is_not_reinstalled(dag: Any, dags: dict[str, Any], hosting: Hosting) -> None:
    migration = up_to_rerouted(dag, dags, hosting.conn)
    step(dag, "prove_original_empty", migration=migration)
    kept = hosting.servers.pop("vps-1")
    for _ in range(2):
        with pytest.raises(HostUnreachable):
            step(dag, "reinstall_original", migration=migration)
    hosting.servers["vps-1"] = kept


def test_a_reinstall_that_was_cut_off_goes_on(
    dag: Any, dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    migration = up_to_rerouted(dag, dags, hosting.conn)
    step(dag, "prove_original_empty", migration=migration)

    def cut_off(*_: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(hosting, "reinstall", cut_off)
    with pytest.raises(RuntimeError):
        step(dag, "reinstall_original", migration=migration)
    monkeypatch.undo()
    hosting.stand_in(monkeypatch)
    step(dag, "reinstall_original", migration=migration)
    assert hosting.servers["vps-1"].infrastructure == "2026"


def test_a_reinstall_with_the_old_host_key_that_was_cut_off_goes_on(
    dag: Any, dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker died when the new server stood, before the registry knew: it answers by the pinned key, and has no
    agent that could be asked."""
    migration = up_to_rerouted(dag, dags, hosting.conn)
    step(dag, "prove_original_empty", migration=migration)
    pinned = hosting.servers["vps-1"].host_key

    def killed(*_: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(registry, "enrol_server", killed)
    with pytest.raises(RuntimeError):
        step(dag, "reinstall_original", migration=migration)
    assert (hosting.servers["vps-1"].host_key, hosting.servers["vps-1"].agent) == (pinned, NO_AGENT)
    monkeypatch.undo()
    hosting.stand_in(monkeypatch)
    step(dag, "reinstall_original", migration=migration)
    step(dag, "enrol_original", migration=migration)
    assert registry.server(hosting.conn, "vps-1").infrastructure == "2026"


def test_a_server_without_an_agent_that_was_never_proven_empty_is_not_reinstalled(
    dag: Any, dags: dict[str, Any], hosting: Hosting
) -> None:
    migration = up_to_rerouted(dag, dags, hosting.conn)
    step(dag, "prove_original_empty", migration=migration)
    hosting.servers["vps-1"].agent = NO_AGENT
    with pytest.raises(AgentError):
        step(dag, "reinstall_original", migration=migration)
    assert hosting.servers["vps-1"].infrastructure == "2022"


@pytest.mark.parametrize("keep", [True, False])
def test_the_host_key_is_what_it_was_unless_ops_want_a_new_one(
    dag: Any, dags: dict[str, Any], hosting: Hosting, keep: bool
) -> None:
    before = registry.server(hosting.conn, "vps-1").host_key
    if not keep:
        registry.keep_host_keys(hosting.conn, "vps-1", False, "ops")
    up_to_reinstalled(dag, dags, hosting.conn)
    after = registry.server(hosting.conn, "vps-1").host_key
    assert after == hosting.servers["vps-1"].host_key and (after == before) is keep
    assert registry.server(hosting.conn, "transit-1").host_key not in (before, after)


def test_another_host_key_stops_the_reinstall(
    dag: Any, dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    migration = up_to_rerouted(dag, dags, hosting.conn)
    step(dag, "prove_original_empty", migration=migration)

    def changed(*_: Any, **__: Any) -> None:
        raise AgentError("host_key_changed", "The server shows another host key than the pinned one.")

    monkeypatch.setattr("tests.dags.hosting.FakeHost._prove_empty", changed)
    with pytest.raises(AgentError):
        step(dag, "reinstall_original", migration=migration)
    assert hosting.servers["vps-1"].infrastructure == "2022"


def test_names_and_ips_stay_while_an_account_has_not_left(dag: Any, dags: dict[str, Any], hosting: Hosting) -> None:
    migration = up_to_hand_over(dag, hosting.conn)
    move(dags, "blog", "transit-1", "perform-blog")
    with pytest.raises(registry.RegistryRefused):
        step(dag, "point_names_at_transit", migration=migration)
    with pytest.raises(registry.RegistryRefused):
        step(dag, "reroute_ips_to_transit", migration=migration, transit="transit-1")
    assert hosting.routes == {}
    assert hosting.names.records["app.example", "A"] == ("198.51.100.11", 30)


def test_names_outside_our_dns_are_told_at_the_hand_over_and_in_the_report(dag: Any, hosting: Hosting) -> None:
    hosting.servers["vps-1"].accounts["app"]["sites"] = [
        {"domain": "app.example", "aliases": ["shop.test"]},
    ]
    migration = up_to_hand_over(dag, hosting.conn)
    sentence = (
        "shop.test is not in our DNS: it goes on arriving through 198.51.100.11 and 2001:db8:100::11, which we pass on "
        "and then reroute; change nothing."
    )
    assert report.gather(hosting.conn, migration["id"])["names"] == {"app": [sentence]}
    assert f"app: {sentence}" in report.summary(report.gather(hosting.conn, migration["id"]))


def home(migration: dict[str, Any]) -> of_runs.MoveAccountsHome:
    return of_runs.MoveAccountsHome(task_id="move_accounts_home", migration=migration)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], list[tuple[str, bool]]]:
    """Airflow's runs by id, as start-or-attach sees them, and what it started."""
    states: dict[str, str] = {}
    started: list[tuple[str, bool]] = []

    def start(dag_id: str, run_id: str, conf: dict[str, Any], again: bool) -> None:
        assert dag_id == "move_account"
        started.append((run_id, again))
        states[run_id] = "queued"

    monkeypatch.setattr(of_runs, "run_state", lambda dag_id, run_id: states.get(run_id))
    monkeypatch.setattr(of_runs, "start_run", start)
    return states, started


def test_accounts_move_home_one_after_the_other(
    dag: Any,
    dags: dict[str, Any],
    hosting: Hosting,
    runs: tuple[dict[str, str], list[tuple[str, bool]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(of_runs, "BUSY", 0.0)
    states, started = runs
    migration = up_to_reinstalled(dag, dags, hosting.conn)
    task = home(migration)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})
    app, blog = (f"home-{migration['id']}-{account}" for account in ("app", "blog"))
    assert started == [(app, False)] and deferred.value.kwargs == {"run_id": app, "tries": {}, "failed": {}}
    with pytest.raises(TaskDeferred):
        task.execute({})
    assert len(started) == 1, "a run that goes on was started again"
    states[app] = "failed"
    with pytest.raises(TaskDeferred) as deferred:
        task.resume({}, {"state": "failed"}, app)
    assert started[-1] == (blog, False), "the others go on meanwhile"
    move(dags, "blog", "vps-1", blog)
    with pytest.raises(AirflowException, match=f"The run {app} of move_account failed"):
        task.resume({}, {"state": "success"}, **(deferred.value.kwargs or {}))
    again = home(migration)
    with pytest.raises(TaskDeferred) as deferred:
        again.execute({})
    assert started[-1] == (app, True), "a failed run is cleared"
    move(dags, "app", "vps-1", app)
    assert again.resume({}, {"state": "success"}, **(deferred.value.kwargs or {})) is None


def put_off(dags: dict[str, Any], hosting: Hosting, account: str, run_id: str) -> None:
    """A run of `move_account` whose rehearsal finds the moment too busy."""
    dag, sentence = dags["move_account"], f"Visitors of {account} would wait 3.9 s, more than the 3 s agreed."
    facts_ = begin(dag, account, "vps-1", run_id)
    peer = step(dag, "open_path", move=facts_)
    operation(dag, "copy", facts_, peer)
    hosting.failing[f"switch {account}"] = ("over_budget", sentence)
    with pytest.raises(AirflowFailException):
        operation(dag, "switch", facts_, peer)
    registry.run_failed(hosting.conn, "move_account", run_id, "switch", sentence, account, "ops")
    step(dag, "close_path", move=facts_)
    del hosting.failing[f"switch {account}"]


def test_an_account_that_is_too_slow_at_a_moment_is_tried_again_and_the_others_go_on(
    dag: Any,
    dags: dict[str, Any],
    hosting: Hosting,
    runs: tuple[dict[str, str], list[tuple[str, bool]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(of_runs, "BUSY", 0.0)
    states, started = runs
    migration = up_to_reinstalled(dag, dags, hosting.conn)
    app, blog = (f"home-{migration['id']}-{account}" for account in ("app", "blog"))
    clock = [1000.0]
    monkeypatch.setattr(of_runs.time, "time", lambda: clock[0])
    task = home(migration)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})
    put_off(dags, hosting, "app", app)
    states[app] = "failed"
    kept: dict[str, Any] = deferred.value.kwargs or {}

    def resume(event: dict[str, str]) -> TaskDeferred:
        """How the task waits after that."""
        with pytest.raises(TaskDeferred) as again:
            task.resume({}, event, **kept)
        return again.value

    kept = resume({"state": "failed"}).kwargs or {}
    assert kept["run_id"] == blog
    move(dags, "blog", "vps-1", blog)
    states[blog] = "success"
    pause = resume({"state": "success"})
    kept = pause.kwargs or {}
    assert kept["run_id"] is None, "nothing is left to do before the moment has passed"
    assert pause.trigger.serialize()[0].endswith("DateTimeTrigger")
    for minutes in of_runs.QUIETER:
        clock[0] += 60 * minutes + 1
        kept = resume({}).kwargs or {}
        assert started[-1] == (app, True)
        put_off(dags, hosting, "app", app)
        states[app] = "failed"
        if minutes != of_runs.QUIETER[-1]:
            kept = resume({"state": "failed"}).kwargs or {}
    with pytest.raises(AirflowException, match=r"failed \(tried 7 times\): Visitors of app would wait 3.9 s"):
        task.resume({}, {"state": "failed"}, **kept)


def test_small_accounts_move_home_without_a_deferral_and_as_the_customer_agreed(
    dag: Any, dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    migration = up_to_reinstalled(dag, dags, hosting.conn)
    confs, states = [], {}

    def start(dag_id: str, run_id: str, conf: dict[str, Any], again: bool) -> None:
        confs.append(conf)
        move(dags, conf["account"], conf["to_server"], run_id)
        states[run_id] = "success"

    monkeypatch.setattr(of_runs, "run_state", lambda dag_id, run_id: states.get(run_id))
    monkeypatch.setattr(of_runs, "start_run", start)
    monkeypatch.setattr(of_runs.time, "sleep", lambda seconds: None)
    assert home(migration).execute({}) is None
    assert confs == [
        {"account": account, "to_server": "vps-1", "longest_wait_seconds": 1} for account in ("app", "blog")
    ]


def test_a_switch_home_that_failed_is_looked_at_before_visitors_meet_another(
    dag: Any, dags: dict[str, Any], hosting: Hosting, runs: tuple[dict[str, str], list[tuple[str, bool]]]
) -> None:
    states, _ = runs
    migration = up_to_reinstalled(dag, dags, hosting.conn)
    run_id = f"home-{migration['id']}-app"
    facts_ = begin(dags["move_account"], "app", "vps-1", run_id)
    peer = step(dags["move_account"], "open_path", move=facts_)
    hosting.failing["switch"] = ("not_equal", "The copies differ.")
    with pytest.raises(AirflowException, match="The copies differ"):
        operation(dags["move_account"], "switch", facts_, peer)
    step(dags["move_account"], "close_path", move=facts_)
    states["home-1-blog"] = "success"
    hosting.failing.clear()
    move(dags, "blog", "vps-1", "home-1-blog")
    with pytest.raises(AirflowFailException, match="app returned and serves from the transit"):
        home(migration).resume({}, {"state": "failed"}, run_id)


def test_a_wait_asks_before_it_defers_and_after(dag: Any, hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "SHORT", 0.0)
    migration = step(dag, "check_server", params=PARAMS, run_id="run-1")
    step(dag, "request_transit", migration=migration)
    hosting.conn.execute("UPDATE servers SET paused_because = 'repair' WHERE kind = 'transit'")
    waiting = wait.WaitForRegistry(task_id="wait", condition="transit_assigned", about=migration)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute({})
    assert deferred.value.trigger.poll_seconds <= 5
    assert "transit_assigned" in str(deferred.value.trigger.serialize())
    hosting.conn.execute("UPDATE servers SET paused_because = NULL WHERE kind = 'transit'")
    assert waiting.execute({}, {"value": "transit-1"}) == "transit-1"


def test_untested_accounts_stop_a_migration_until_they_are_tested_or_ops_say_why(
    dag: Any, dags: dict[str, Any], shared: Hosting
) -> None:
    conn, closed = shared.conn, {**PARAMS, "lift_gate_because": None}
    with pytest.raises(AirflowFailException, match="app has not been tested.*blog has not been tested"):
        step(dag, "check_server", params=closed, run_id="run-1")
    for account in ("app", "blog"):
        whole(dags["test_account"], account, "infrastructure-2026", f"test-{account}")
    assert step(dag, "check_server", params=closed, run_id="run-1")["server"] == "vps-1"
    assert "gate.lifted" not in {event.kind for event in registry.list_events(conn, limit=1_000_000)}


def test_a_lifted_gate_is_logged_with_its_reason(dag: Any, hosting: Hosting) -> None:
    migration = step(dag, "check_server", params=PARAMS, run_id="run-1")
    (lifted,) = [one for one in registry.list_events(hosting.conn, migration["id"]) if one.kind == "gate.lifted"]
    assert lifted.detail["reason"] == PARAMS["lift_gate_because"] and lifted.by == "ops"
