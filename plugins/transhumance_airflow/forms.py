"""Fields that the trigger forms of several DAGs have."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from include.inventory.text import MAX_CHARACTERS
from include.machines.interface import NAME as MACHINE_NAME

SERVER_NAME = f"^{MACHINE_NAME.pattern}$"


def server(title: str, description: str) -> Param:
    """A server's name."""
    return Param(type="string", pattern=SERVER_NAME, title=title, description=description)


def account() -> Param:
    """An account's name."""
    return Param(
        type="string",
        pattern=r"^[a-z][a-z0-9_-]{0,31}(\.[a-z0-9-]{1,63})?$",
        title="Account",
        description="The Unix name of the account, as `describe` lists it.",
    )


def entry(description: str) -> Param:
    """An entry of the catalogue."""
    return Param(
        type="string",
        pattern="^[a-z0-9][a-z0-9.-]{0,63}$",
        title="Catalogue entry",
        description=description,
        examples=["infrastructure-2026"],
    )


def lift_gate_because() -> Param:
    """Why ops let somebody through who has not tested."""
    return optional(
        "Lift the gate because",
        "Perform although not everything was tested, or with blockers. Who asks and this reason are kept in the event "
        "log. Empty: the gate stands.",
        maxLength=500,
    )


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


def document() -> Param:
    """An inventory."""
    return Param(
        type="string",
        format="multiline",
        minLength=1,
        maxLength=MAX_CHARACTERS,
        title="Inventory",
        description="The whole document, as YAML: what is not in it is removed.",
    )


def optional(title: str, description: str = "", **schema: Any) -> Param:
    """A text that may stay empty."""
    return Param(None, type=["null", "string"], title=title, description=description, **schema)
