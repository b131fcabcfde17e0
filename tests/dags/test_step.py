"""What makes a task of a function: its connection, refusals, what was given up, and facts as JSON between tasks."""

from __future__ import annotations

import inspect
import json
from datetime import date
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from pydantic import ValidationError

from include import billing, registry
from include.facts import MigrationFacts, MoveFacts, NothingToDo
from include.hosts import AgentError, HostUnreachable
from tests.dags.hosting import Hosting
from tests.dags.steps import PARAMS
from tests.dags.steps import step as run_step
from transhumance_airflow.step import Registry, given_by, read, step, written

MIGRATION: dict[str, Any] = {"id": 7, "server": "vps-1", "from_infrastructure": "2022", "to_infrastructure": "2026"}


def made(function: Any, **settings: Any) -> Any:
    """The callable that Airflow runs."""
    return step(**settings)(function).function


def test_a_step_is_given_the_registry_and_facts_and_gives_json(hosting: Hosting) -> None:
    def double(conn: Registry, migration: MigrationFacts, params: dict[str, Any]) -> MigrationFacts:
        """Doc."""
        assert conn is hosting.conn and params == {"server": "vps-2"}
        return MigrationFacts(migration.id * 2, params["server"], "2022", "2026")

    run = made(double)
    assert list(inspect.signature(run).parameters) == ["migration", "params"], "Airflow fills in no connection"
    given = run(migration=MIGRATION, params={"server": "vps-2"})
    assert json.loads(json.dumps(given)) == {**MIGRATION, "id": 14, "server": "vps-2"}
    assert run(given, {"server": "vps-2"})["id"] == 28, "what one gives another is given"


def test_what_an_older_release_gave_is_read_and_what_is_no_facts_is_not() -> None:
    assert read(MigrationFacts, {**MIGRATION, "taken_out_since": 1}) == MigrationFacts(**MIGRATION)
    for wrong in ({**MIGRATION, "id": "seven"}, {"id": 7}, None, "7"):
        with pytest.raises(ValidationError):
            read(MigrationFacts, wrong)


def test_facts_come_back_as_they_were() -> None:
    billed = billing.Billed(date(2026, 1, 1), None, 3, ("M",))
    move = MoveFacts(1, "m1-x", None, "shop", "shop", "web-1", "web-2", "over", "mariadb", 3, 0.5)
    for facts in (billed, move, MigrationFacts(**MIGRATION)):
        assert read(type(facts), json.loads(json.dumps(written(facts)))) == facts
    assert written({"a": 1}) == {"a": 1} and written(None) is None


@pytest.mark.parametrize("error", [registry.RegistryRefused("no."), AgentError("held", "no.")])
def test_a_refusal_is_retried_unless_no_retry_would_change_it(hosting: Hosting, error: Exception) -> None:
    def refuse(conn: Registry) -> None:
        """Doc."""
        raise error

    with pytest.raises(type(error), match="no"):
        made(refuse)()
    with pytest.raises(AirflowFailException, match="no"):
        made(refuse, refusal_is_final=True)()


def test_a_server_that_does_not_answer_is_tried_again_even_then(hosting: Hosting) -> None:
    def ask(conn: Registry) -> None:
        """Doc."""
        raise HostUnreachable("vps-1 does not answer.")

    with pytest.raises(HostUnreachable):
        made(ask, refusal_is_final=True)()


def test_what_was_given_up_is_skipped_and_the_way_out_is_not(dags: dict[str, Any], hosting: Hosting) -> None:
    migration = run_step(dags["migrate_server"], "check_server", params=PARAMS, run_id="run-1")
    done = []

    def act(conn: Registry, migration: MigrationFacts) -> None:
        """Doc."""
        done.append(migration.id)

    made(act, unless_given_up=True)(migration=migration)
    registry.cancel_migration(hosting.conn, migration["id"], "the customer stays", "ops")
    with pytest.raises(AirflowSkipException, match="The migration of vps-1 is cancelled"):
        made(act, unless_given_up=True)(migration=migration)
    made(act)(migration=migration)
    assert done == [migration["id"]] * 2

    def nothing(conn: Registry) -> None:
        """Doc."""
        raise NothingToDo("It had no transit.")

    with pytest.raises(AirflowSkipException, match="no transit"):
        made(nothing, refusal_is_final=True)()


def test_what_another_task_gave_is_read_when_a_task_runs() -> None:
    assert given_by("check_server") == "{{ ti.xcom_pull(task_ids='check_server') }}"
