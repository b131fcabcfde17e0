"""Mounts the panel's API in Airflow's API server, at /transhumance.

Every program of Airflow's loads its plugins; only the API server is ever asked, so the application is made at the
first call.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from airflow.plugins_manager import AirflowPlugin


@cache
def _application() -> Any:
    from transhumance_airflow.api.app import make_app

    return make_app()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """The API as an ASGI application."""
    await _application()(scope, receive, send)


class TranshumanceApi(AirflowPlugin):
    """What Airflow is told."""

    name = "transhumance_api"
    fastapi_apps = [{"app": application, "url_prefix": "/transhumance", "name": "Transhumance"}]
