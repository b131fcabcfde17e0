"""The DAG that delivers events: off until it is switched on, replays what its form says, then announces and posts."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from include import registry
from include.panel import event_text
from tests.dags.hosting import Hosting
from transhumance_airflow import outbox


def test_it_is_off_until_somebody_wants_it(dags: dict[str, Any]) -> None:
    dag = dags["deliver_events"]
    assert dag.is_paused_upon_creation and dag.max_active_runs == 1


def test_it_announces_then_delivers_and_replays_on_demand(
    dags: dict[str, Any], hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = []

    def deliver(conn: psycopg.Connection) -> dict[str, Any]:
        sql = "UPDATE outbox SET delivered_at = now() WHERE delivered_at IS NULL RETURNING payload ->> 'id'"
        waiting.append([int(id) for (id,) in hosting.conn.execute(sql)])
        return {}

    monkeypatch.setattr(outbox, "deliver_webhooks", deliver)
    run = dags["deliver_events"].task_dict["deliver"].python_callable
    params = {"replay_after": None, "customer": None, "requested_by": "a test"}
    log = registry.list_events(hosting.conn)
    told = [event.id for event in log if event.kind in event_text.TOLD and event.customer]
    run(params=params)
    run(params=params)
    run(params={**params, "replay_after": told[0]})
    assert [sorted(ids) for ids in waiting] == [told, [], told[1:]]
