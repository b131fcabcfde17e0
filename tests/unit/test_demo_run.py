"""The demo's customer and its watcher, against an Airflow and a registry of the test's own."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from lab.demo import run
from lab.say import LabError


class FakeAirflow:
    """Runs that end as they are told, after two questions; every call is kept."""

    def __init__(self, ends):
        self.ends, self.asked, self.posts = ends, {}, []

    def call(self, method, path, body=None, expect=(200, 201, 204)):
        self.posts.append((body["dag_run_id"], body["conf"]["account"], expect))
        return {}

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
        accounts = [SimpleNamespace(name=name) for name in ("app", "blog")]
        registry = SimpleNamespace(
            migration_of=lambda conn, server: MIGRATION,
            accounts_of=lambda conn, server: accounts,
            migrations=lambda conn: [MIGRATION],
            moves_of=lambda conn, id: [
                SimpleNamespace(
                    account="app",
                    direction="out",
                    state="done",
                    epoch=2,
                    figures={"switch": {"held_ms": 900}},
                )
            ],
        )
        monkeypatch.setattr(run, "airflow", airflow)
        monkeypatch.setattr(run, "registry", registry)
        monkeypatch.setattr(run, "registry_connection", nullcontext)
        monkeypatch.setattr(run.time, "sleep", lambda seconds: None)
        return airflow

    return make


def test_the_customer_moves_one_account_after_the_other_and_clicks_twice(world):
    airflow = world()
    customer = run.Customer("demo")
    customer.run()
    assert customer.error is None
    first, second = ("perform-7-app", "app"), ("perform-7-blog", "blog")
    assert [post[:2] for post in airflow.posts] == [first, first, second, second]
    assert [post[2] for post in airflow.posts][1::2] == [(409,), (409,)]


def test_a_move_that_fails_is_told_with_its_sentence(world):
    airflow = world({"perform-7-app": "failed"})
    customer = run.Customer("demo")
    customer.run()
    assert len(airflow.posts) == 2, "the next account is not tried"
    assert "task switch: The table a differs: look at it." in str(customer.error)
    with pytest.raises(LabError, match="could not perform"):
        run.Watch("demo").until_end(customer)


def test_the_watcher_says_each_thing_once(world, capsys):
    world()
    watch = run.Watch("demo")
    watch.until_end(run.Customer("demo"))
    watch._tell_moves()
    said = capsys.readouterr().out
    assert said.count("switch: failed (2.5 s)") == 1
    assert said.count("app, out: done (held 0.90 s)") == 1


def test_a_failed_migration_is_told_with_its_sentence(world):
    world({"demo": "failed"})
    with pytest.raises(LabError, match="The migration failed: task switch"):
        run.Watch("demo").until_end(run.Customer("demo"))
