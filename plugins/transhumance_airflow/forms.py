"""Fields that the trigger forms of several DAGs have."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

SERVER_NAME = "^[a-z][a-z0-9-]{0,31}$"


def server(title: str, description: str) -> Param:
    """A server's name."""
    return Param(type="string", pattern=SERVER_NAME, title=title, description=description)


def requested_by() -> Param:
    """Who asks."""
    return Param(
        "ops",
        type="string",
        minLength=1,
        maxLength=100,
        title="Requested by",
        description="Who asks: kept in the event log.",
    )


def optional(title: str, description: str = "", **schema: Any) -> Param:
    """A text that may stay empty."""
    return Param(None, type=["null", "string"], title=title, description=description, **schema)
