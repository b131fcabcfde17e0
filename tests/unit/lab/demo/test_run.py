"""The demo's customer and its watcher, against an Airflow and a registry of the test's own."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import pytest

from include.agent.verbs.reports import Switched
from include.registry import Figures
from lab.demo import run, stage
from lab.panel import CallFailed, Panel
from lab.say import LabError


class FakeAirflow:
    """Runs that end as they are told, after two questions."""

    def __init__(self, ends):
        self.ends, self.asked = ends, {}

    def run(self, dag_id, run_id):
        self.asked[run_id] = self.asked.get(run_id, 0) + 1
        return {"state": self.ends.get(run_id, "success") if self.asked[run_id] > 1 else "running"}

    def tasks(self, dag_id, run_id):
        return [
            {
                "task_id": "switch",
                "state": "failed",
                "try_number": 4,
                "start_date": "2026-01-01T00:00:00Z",
                "end_date": "2026-01-01T00:00:02.5Z",
            }
        ]

    def task_log(self, dag_id, run_id, task_id, try_number):
        return "starting\n  AirflowException: The table a differs: look at it.\nending"


MIGRATION = SimpleNamespace(id=7, run_id="demo", state="handed_over", transit="transit-1")


@pytest.fixture
def world(monkeypatch):
    def make(ends=()):
        airflow = FakeAirflow(dict(ends))
        registry = SimpleNamespace(
            list_migrations=lambda conn: [MIGRATION],
            moves_of=lambda conn, id: [
                SimpleNamespace(
                    account="app",
                    direction="out",
                    state="done",
                    epoch=2,
                    figures=Figures(switch=Switched(held_ms=900)),
                )
            ],
        )
        monkeypatch.setattr(run, "airflow", airflow)
        monkeypatch.setattr(run, "registry", registry)
        monkeypatch.setattr(run, "registry_connection", nullcontext)
        monkeypatch.setattr(run.time, "sleep", lambda seconds: None)
        return airflow

    return make


class FakePanel:
    """A panel whose calls are kept; `fails` is the account whose move fails."""

    def __init__(self, fails=None):
        self.fails, self.calls = fails, []

    def server(self, name):
        return {"accounts": [{"account": "app"}, {"account": "blog"}]}

    def account(self, name):
        return {"server": "transit-1"}

    def state(self, server):
        return "checking" if ("ask", server) in self.calls else "serving"

    def test(self, account, entry):
        self.calls.append(("test", account))
        return {"subject": account}

    def tests(self, account):
        return [{"names": {f"{account}.example": f"{account}-example.test.example"}, "sentence": "Ready."}]

    def ask_for_transit(self, server, entry):
        if ("ask", server) in self.calls:
            raise CallFailed(f"Server {server} is being migrated already: follow that run.")
        self.calls.append(("ask", server))
        return {"run": {"run_id": "panel-ask-1"}}

    def wait_for_state(self, server, state, seconds):
        return {"transit": {"transit": "transit-1"}}

    def perform(self, account):
        self.calls.append(("perform", account))
        return {"subject": account}

    def wait(self, request, seconds):
        if request["subject"] == self.fails:
            raise LabError("perform app failed: The table a differs: look at it.")


def customer_with(panel: FakePanel) -> run.Customer:
    return run.Customer(cast(Panel, panel), stage.ENTRY)


def test_the_customer_tests_all_asks_twice_and_moves_one_account_after_the_other(capsys):
    panel = FakePanel()
    customer = customer_with(panel)
    assert customer.test_and_ask() == "panel-ask-1"
    customer.run()
    assert customer.error is None
    accounts = ("app", "blog")
    assert panel.calls == [
        *(("test", account) for account in accounts),
        ("ask", "vps-1"),
        *(("perform", account) for account in accounts),
    ]
    assert "being migrated already" in capsys.readouterr().out


def test_a_move_that_fails_is_told_with_its_sentence(world):
    world()
    panel = FakePanel(fails="app")
    customer = customer_with(panel)
    customer.run()
    assert panel.calls == [("perform", "app")], "the next account is not tried"
    assert "The table a differs: look at it." in str(customer.error)
    with pytest.raises(LabError, match="could not perform"):
        run.Watch("demo").until_end(customer)


def test_the_watcher_says_each_thing_once(world, capsys):
    world()
    watch = run.Watch("demo")
    watch.until_end(customer_with(FakePanel()))
    watch._print_moves()
    said = capsys.readouterr().out
    assert said.count("switch: failed (2.5 s)") == 1
    assert said.count("app, out: done (held 0.90 s)") == 1


def test_a_failed_migration_is_told_with_its_sentence(world):
    world({"demo": "failed"})
    with pytest.raises(LabError, match="The migration failed: task switch"):
        run.Watch("demo").until_end(customer_with(FakePanel()))
