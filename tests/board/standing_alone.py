"""The board without Airflow around it: its app under its own address, a registry, and somebody who may look.

PYTHONPATH=.:plugins python -m tests.board.standing_alone [PORT]

shows the made-up host on 127.0.0.1 (8765), for whoever changes a page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psycopg
from fastapi import FastAPI

from tests.board import made_up
from tests.support import airflow_home  # noqa: F401  (before anything of Airflow)

if TYPE_CHECKING:
    from transhumance_airflow.board.runs import Approval, Trouble


def app(
    dsn: str, troubles: list[Trouble] | None = None, approvals: list[Approval] | None = None, may_act: bool = True
) -> FastAPI:
    """The board on the registry at `dsn`, for a person who may look and, with `may_act`, press."""
    from airflow.api_fastapi.core_api.security import get_user

    from transhumance_airflow import connections
    from transhumance_airflow.board import PREFIX, gather, runs
    from transhumance_airflow.board import app as board

    @contextmanager
    def registry_connection() -> Iterator[psycopg.Connection]:
        with psycopg.connect(dsn, autocommit=True) as conn:
            yield conn

    connections.registry_connection = registry_connection
    runs.troubles = lambda run_ids: [one for one in troubles or [] if one.run in run_ids]
    runs.approvals = lambda run_ids: [one for one in approvals or [] if one.run in run_ids]
    gather.shared_glance.forget()
    gather.shared_last_event.forget()
    board.app.dependency_overrides = {
        get_user: lambda: SimpleNamespace(get_name=lambda: "olga"),
        board.may_read.dependency: lambda: None,
        board.may_manage.dependency: lambda: None,
        board.may_act: lambda: may_act,
    }
    around = FastAPI()
    around.mount(PREFIX, board.app)
    return around


def told(made: dict[str, int]) -> tuple[list[Trouble], list[Approval]]:
    """What Airflow would know of the made-up host: two failed tasks, one question."""
    from transhumance_airflow.board import runs

    return (
        [
            runs.Trouble("migrate_server", "ready-vps-6", "install_transit", made_up.ago(minutes=14)),
            runs.Trouble("move_account", "perform-blog2-transit-3", "switch", made_up.ago(hours=5)),
        ],
        [
            runs.Approval(
                "migrate_server",
                "ready-vps-12",
                "approve_reinstall",
                "Reinstall vps-12 with infrastructure 2026?",
                made_up.NOW - timedelta(minutes=41),
            )
        ],
    )


def main() -> None:
    """Serves the made-up host until it is interrupted."""
    import uvicorn

    from include.registry.schema import upgrade
    from tests.support.postgres import cluster, create

    with cluster() as server:
        dsn = create(server, "board")
        upgrade(dsn)
        with psycopg.connect(dsn, autocommit=True) as conn:
            made = made_up.fill(conn)
        port = int(sys.argv[1]) if len(sys.argv) > 1 else 8765
        uvicorn.run(app(dsn, *told(made)), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
