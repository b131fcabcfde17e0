"""The API's addresses, a module for each kind of thing. Every route is made with `operation`, which names the
permission that it needs and the problems that it may answer."""

from __future__ import annotations

from typing import Any

from fastapi import Depends

from transhumance_airflow.api.auth import May, Permission
from transhumance_airflow.api.problems import documented


def operation(permission: Permission, *problems: int, **more: Any) -> dict[str, Any]:
    """The arguments of a route that needs the permission; `problems` are those beside the ones that every route may
    answer."""
    return {
        "dependencies": [Depends(May(permission))],
        "responses": {**documented(*problems), **more.pop("responses", {})},
        "openapi_extra": {"x-permission": permission},
        **more,
    }
