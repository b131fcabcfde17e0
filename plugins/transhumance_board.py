"""The board for ops: a page within Airflow's UI, in its navigation as *Transhumance*."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from transhumance_airflow.board import PREFIX
from transhumance_airflow.board.app import app

ROOT = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
"""Where Airflow itself is served: empty, or such as /airflow."""


class TranshumanceBoard(AirflowPlugin):
    """Mounts the board in the API server and puts it into the UI's navigation."""

    name = "transhumance_board"
    fastapi_apps = [{"app": app, "url_prefix": PREFIX, "name": "Transhumance: the board"}]
    external_views = [
        {
            "name": "Transhumance",
            "href": f"{ROOT}{PREFIX}/",
            "url_route": "transhumance",
            "destination": "nav",
            "nav_top_level": True,
            "icon": f"{ROOT}{PREFIX}/static/herd.svg",
            "icon_dark_mode": f"{ROOT}{PREFIX}/static/herd-dark.svg",
        }
    ]
