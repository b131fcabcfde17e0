"""A host's first day: on a server that others filled each command of docs/adopting.md is typed, as it stands there,
while visitors come and go; at its end the server is installed anew and everything is home."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from include import registry
from lab import airflow, base, topology
from lab.accounts.certificates import authority
from lab.demo import own, result, run, stage
from lab.panel import Panel
from lab.visitors import crowd
from tests.lab.airflow_lab import clear_away, close_farms
from tests.lab.handles import Lab
from tests.lab.waiting import wait_for

ENDS_IN = 600
"""Seconds from the last move out until everything is home."""


@pytest.fixture(scope="module")
def asked(lab: Lab) -> Iterator[crowd.Asked]:
    """Visitors at the host's server, which has nothing of ours; Airflow and an empty registry."""
    close_farms()
    clear_away(lab)
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(lab.at_home, airflow.up)
        try:
            for infrastructure in (own.OLD, own.NEW):
                lab.at_home(base.build, infrastructure)
            stage.write_catalogue(own.ENTRY, own.OLD, own.NEW)
            filled = lab.at_home(own.install_and_fill)
            starting.result()
            own.let_airflow_in()
            asked = crowd.asked_of(filled.values(), topology.server(stage.ORIGINAL).ips, authority())
            crowd.start(asked, rate=1)  # two WordPresses on two processors, beside everything else
            yield asked
        finally:
            crowd.stop()
            airflow.stop()
            for name in (stage.ORIGINAL, stage.TRANSIT, stage.TEST):
                lab.machines.wipe(lab.server(name).spec)


def test_each_command_of_the_page(lab: Lab, asked: crowd.Asked) -> None:
    began, since = time.monotonic(), time.time()
    panel = Panel(stage.CUSTOMER)
    for command in own.commands():
        if command.startswith("python -m cli test ") and not panel_has_test_server():
            lab.at_home(stage.install, stage.TEST, own.NEW)
        if command.startswith("python -m cli perform "):
            panel.wait_for_state(stage.ORIGINAL, "handed_over", run.HANDED_OVER_IN)
        shown = lab.at_home(own.type_in, command)
        assert shown.strip() and "Traceback" not in shown, command
        if command.startswith("python -m cli sign "):
            lab.at_home(own.sign_the_rest, command)
    with stage.registry_connection() as conn:
        (migration,) = registry.list_migrations(conn)
    wait_for(lambda: airflow.run("migrate_server", migration.run_id)["state"] == "success", ENDS_IN, "it is home")
    until = time.time()
    crowd.stop()
    check = crowd.final_check(asked)
    finished = result.of_migration(
        migration.run_id,
        versions_before={},
        ips=asked.ips,
        setup=[],
        quiet=(since, since),
        span=(since, until),
        wall_s=time.monotonic() - began,
    )
    made = result.report(finished, check)
    assert result.unproven(made, finished, asked.sites, check) == []


def panel_has_test_server() -> bool:
    """Whether the host has installed its test server: that is none of the page's commands."""
    with stage.registry_connection() as conn:
        return registry.server(conn, stage.TEST).host_key is not None
