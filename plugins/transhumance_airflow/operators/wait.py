"""Waits that hold no worker, for as long as it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from transhumance_airflow import conditions, connections
from transhumance_airflow.step import read, refusing
from transhumance_airflow.triggers import RegistryTrigger

SHORT = 6.0
"""Seconds that a worker itself waits for a condition: a deferral costs about as much, and one that resumes at once may
fail."""


class WaitForRegistry(BaseSensorOperator):
    """Waits, without a worker and for as long as it takes, until the registry says that `condition` is met; gives what
    that gives.

    `about` are the facts that it is about. `refresh(conn, facts)` runs in a worker before the registry is believed: it
    brings in what only a server knows (an account created meanwhile).
    """

    template_fields: Sequence[str] = ("condition", "about")
    ui_color = "#f7ecd0"

    def __init__(
        self,
        *,
        condition: str,
        about: Any,
        refresh: Callable[[psycopg.Connection, Any], None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.condition = condition
        self.about = about
        self.refresh = refresh

    def execute(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Asks for some seconds, then defers. What a trigger saw is asked for again: it may have changed."""
        until = time.monotonic() + SHORT
        wanted = conditions.CONDITIONS[self.condition]
        facts = read(wanted.about, self.about)
        arguments = wanted.arguments(facts)
        with connections.registry_connection() as conn, refusing():
            if self.refresh is not None and not conditions.given_up(conn, arguments):
                self.refresh(conn, facts)
            while (value := conditions.ask(conn, self.condition, arguments)) is None and time.monotonic() < until:
                time.sleep(0.3)
        if value == conditions.GIVEN_UP:
            raise AirflowSkipException(f"Nothing to wait for any more: {value}.")
        if value is not None:
            return value
        self.log.info("Waiting until the registry knows %s %s.", self.condition, arguments)
        self.defer(trigger=RegistryTrigger(self.condition, arguments), method_name="execute")
