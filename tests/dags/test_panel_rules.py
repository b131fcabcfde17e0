"""What the panel's rules start, the DAGs understand: every param is one of theirs, and holds what it may hold."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include import registry
from include.panel import rules
from tests.dags.hosting import Hosting, write_shared

ENTRY = "infrastructure-2026"


@pytest.fixture
def host(hosting: Hosting) -> Hosting:
    """The small host with its shared servers."""
    write_shared(hosting)
    return hosting


def understood(dags: dict[str, Any], started: tuple[str, dict[str, Any]]) -> None:
    """Resolves the run's params as Airflow does."""
    dag, params = started
    assert params.keys() <= dags[dag].params.keys()
    for name, value in params.items():
        deepcopy(dags[dag].params.get_param(name)).resolve(value)


def test_every_action_is_a_run_that_its_dag_understands(dags: dict[str, Any], host: Hosting) -> None:
    conn = host.conn
    understood(dags, rules.to_test(conn, "app", ENTRY, "acme (panel p)"))
    understood(dags, rules.to_ask(conn, "vps-1", ENTRY, "ops", "a reason"))
    shop = registry.account(conn, "shop")
    understood(dags, rules.to_perform(conn, shop, "ops", ENTRY, 2.5, "a reason"))
    id = registry.begin_migration(conn, "vps-1", ENTRY, "run-1", "ops", "a reason").id
    understood(dags, rules.to_cancel(conn, "vps-1", "they stay", "acme (panel p)"))
    registry.request_transit(conn, id)
    registry.assign_transit(conn, id)
    registry.enrol_server(conn, "transit-1", "2026", "ssh-ed25519 2026transit1", {})
    registry.hand_over(conn, id)
    dag, params = rules.to_perform(conn, registry.account(conn, "app"), "acme (panel p)", None, 0.5)
    understood(dags, (dag, params))
    assert (dag, params["to_server"]) == ("move_account", "transit-1")
    assert registry.live_move_of(conn, "app") is None and registry.live_test_of(conn, "app") is None


def test_a_dag_that_is_triggered_directly_refuses_with_the_same_sentence(dags: dict[str, Any], host: Hosting) -> None:
    """The first task of the run, and the rule, ask the same registry."""
    tasks = {name: dags[name].task_dict for name in ("migrate_server", "migrate_account")}
    params = {"server": "vps-1", "entry": ENTRY, "lift_gate_because": None, "requested_by": "ops"}
    same(
        lambda: rules.to_ask(host.conn, "vps-1", ENTRY, "ops"),
        lambda: tasks["migrate_server"]["check_server"].python_callable(params=params, run_id="r"),
    )
    params = {"account": "shop", "entry": ENTRY, "to_server": None, "lift_gate_because": None, "requested_by": "ops"}
    shop = registry.account(host.conn, "shop")
    same(
        lambda: rules.to_perform(host.conn, shop, "ops", ENTRY),
        lambda: tasks["migrate_account"]["check_account"].python_callable(
            params={**params, "longest_wait_seconds": 1}, run_id="r"
        ),
    )


def same(rule: Callable[[], object], task: Callable[[], object]) -> None:
    with pytest.raises(registry.RegistryRefused) as by_the_rule:
        rule()
    with pytest.raises(AirflowFailException) as by_the_task:
        task()
    assert str(by_the_rule.value) == str(by_the_task.value)
