"""What is refused of a running Airflow, by the DAGs' own first tasks and at the trigger: one sentence each, and nothing
changes."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from include import registry
from include.agent import verbs
from include.moves.enrol import enrol
from lab import airflow
from lab.accounts.filling import account_file
from lab.demo import stage
from tests.lab.airflow_lab import ORIGINAL, TRANSIT, Farm
from tests.lab.waiting import wait_for

LARGE = "VPS of 32 cores"
REFUSED = {
    "unknown_server": "There is no server vps-404",
    "shared_server": "is a shared server: only a dedicated server or VPS is migrated",
    "transit": "is a transit server: only a dedicated server or VPS is migrated",
    "unknown_entry": "no-such-entry",
    "no_accounts": "has no accounts",
    "no_transit_of_the_plan": LARGE,
    "already_migrated": f"{ORIGINAL} is being migrated already",
    "unknown_account": "There is no account nobody",
    "unknown_target": "There is no server vps-404",
    "not_migrated": "is not being migrated: begin its migration first",
}


@pytest.fixture(scope="module")
def asked(farm: Farm) -> Iterator[dict[str, tuple[str, str]]]:
    """Everything that is to be refused, asked for at once: {case: (DAG, run id)}, and what the registry then says.

    Three more servers: a shared one, and VPSes with and without an account, the latter of a plan of its own.
    """
    farm.handed_over()
    with farm.lab.fresh("2022", "2022", "2022") as machines, stage.registry_connection() as conn:
        conn.autocommit = True
        registry.add_plan(conn, LARGE, Decimal(100), "CHF", 32, 256 << 30, 4 << 40)
        kinds = (("shared", stage.PLAN), ("vps", stage.PLAN), ("vps", LARGE))
        shared, empty, crowded = names = [one.name for one in machines]
        for one, (kind, plan) in zip(machines, kinds, strict=True):
            spec = one.spec
            addresses = (spec.management_address, spec.lan_address, spec.lan_address6)
            customer = None if kind == "shared" else "Others"
            registry.add_server(conn, one.name, kind, plan, stage.OLD, customer, *addresses)
            registry.enrol_server(conn, one.name, stage.OLD, one.installed.host_key, {})
            enrol(conn, one.name, stage.OLD, farm.host(one.name))
        agent = farm.host(crowded)
        agent.call(verbs.Create(account_file=account_file("lodger", 2400)))
        registry.add_account(conn, "lodger", crowded, ["lodger.example", "www.lodger.example"])
        before = snapshot(conn, names)
        runs = {
            "unknown_server": {"server": "vps-404", "entry": stage.ENTRY},
            "shared_server": {"server": shared, "entry": stage.ENTRY},
            "transit": {"server": TRANSIT, "entry": stage.ENTRY},
            "unknown_entry": {"server": crowded, "entry": "no-such-entry"},
            "no_accounts": {"server": empty, "entry": stage.ENTRY},
            "no_transit_of_the_plan": {"server": crowded, "entry": stage.ENTRY},
            "already_migrated": {"server": ORIGINAL, "entry": stage.ENTRY},
            "unknown_account": {"account": "nobody", "to_server": TRANSIT},
            "unknown_target": {"account": "lodger", "to_server": "vps-404"},
            "not_migrated": {"account": "lodger", "to_server": TRANSIT},
        }
        started = {}
        for case, conf in runs.items():
            dag_id = "migrate_server" if "server" in conf else "move_account"
            airflow.trigger(dag_id, f"refused-{case}", conf)
            started[case] = (dag_id, f"refused-{case}")
        yield started
        wait_for(lambda: all(airflow.run(*run)["state"] == "failed" for run in started.values()), 90, "all refused")
        assert snapshot(conn, names) == before
        assert farm.state(crowded, "lodger")["state"] == "serving"


def snapshot(conn: psycopg.Connection, names: list[str]) -> list[list[Any]]:
    """What a refusal leaves as it was."""
    migrations = registry.list_migrations(conn)
    return [
        [one.run_id for one in migrations],
        [registry.server(conn, name).state for name in names],
        [(one.name, one.server, one.epoch) for name in names for one in registry.accounts_of(conn, name)],
        [one.run_id for one in migrations if registry.request_of(conn, one.id)],
        [move.run_id for one in migrations for move in registry.moves_of(conn, one.id) if "refused" in move.run_id],
    ]


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_one_sentence(farm: Farm, asked: dict[str, tuple[str, str]], case: str) -> None:
    said = farm.refusal(*asked[case])
    print(said)
    assert REFUSED[case] in said
    assert "Traceback" not in said and "\n" not in said


@pytest.mark.parametrize(
    ("dag_id", "conf"),
    [
        ("migrate_server", {"entry": stage.ENTRY}),
        ("migrate_server", {"server": "vps 1; reboot", "entry": stage.ENTRY}),
        ("move_account", {"account": "../etc", "to_server": TRANSIT}),
        ("move_account", {"account": "orchard", "to_server": 7}),
    ],
)
def test_bad_params_are_refused_at_the_trigger(farm: Farm, dag_id: str, conf: dict) -> None:
    body = {"dag_run_id": f"bad-{time.time_ns()}", "logical_date": None, "conf": conf}
    airflow.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body, expect=(400, 422))
    airflow.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{body['dag_run_id']}", expect=(404,))


def test_the_same_run_is_started_once(farm: Farm) -> None:
    farm.handed_over()
    path = "/api/v2/dags/migrate_server/dagRuns"
    body = {"dag_run_id": farm.run_id, "logical_date": None, "conf": {"server": ORIGINAL, "entry": stage.ENTRY}}
    airflow.call("POST", path, body, expect=(409,))
    with stage.registry_connection() as conn:
        assert len([one for one in registry.list_migrations(conn) if one.server == ORIGINAL]) == 1
