"""The board for ops: a page within Airflow's UI, in its navigation as *Board*.

Every program of Airflow's loads its plugins; only the API server is ever asked, so the application is made at the
first call.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from transhumance_airflow.board import PREFIX

ROOT = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
"""Where Airflow itself is served: empty, or such as /airflow."""


async def application(scope: Any, receive: Any, send: Any) -> None:
    """The board as an ASGI application."""
    from transhumance_airflow.board.app import app

    await app(scope, receive, send)


class TranshumanceBoard(AirflowPlugin):
    """Mounts the board in the API server and puts it into the UI's navigation."""

    name = "transhumance_board"
    fastapi_apps = [{"app": application, "url_prefix": PREFIX, "name": "Transhumance: the board"}]
    external_views = [
        {
            "name": "Board",
            "href": f"{ROOT}{PREFIX}/",
            "url_route": "board",
            "destination": "nav",
            "nav_top_level": True,
            "icon": f"{ROOT}{PREFIX}/static/herd.svg",
            "icon_dark_mode": f"{ROOT}{PREFIX}/static/herd-dark.svg",
        }
    ]
