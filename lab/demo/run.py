"""The run itself: the customer tests and performs their accounts, a person watches the steps go by."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from include import registry
from lab import airflow
from lab.demo.stage import ORIGINAL, registry_connection
from lab.panel import CallFailed, Panel
from lab.say import LabError, say

ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
TESTED_IN = 300.0
"""Seconds for one test."""
BEGUN_IN = 60.0
"""Seconds until the panel shows that it was asked."""
HANDED_OVER_IN = 300.0
"""Seconds until the customer gives up waiting for the transit."""
MOVED_IN = 300.0
"""Seconds for one account."""


def await_hand_over(run_id: str) -> registry.Migration:
    """The migration of the run, once its transit is the customer's."""
    until = time.monotonic() + HANDED_OVER_IN
    while time.monotonic() < until:
        with registry_connection() as conn:
            migration = registry.migration_of(conn, ORIGINAL)
        if migration and migration.run_id == run_id and migration.state == "handed_over":
            return migration
        time.sleep(0.3)
    raise LabError(f"The transit was not handed over within {HANDED_OVER_IN:g} s.")


class Customer(threading.Thread):
    """Uses the panel, which calls the API: tests every account, asks for a transit, and then performs every account,
    one by one."""

    def __init__(self, panel: Panel, entry: str) -> None:
        """`entry`: the migration of the catalogue that they want."""
        super().__init__(name="the customer", daemon=True)
        self.panel, self.entry = panel, entry
        self.error: Exception | None = None

    def test_and_ask(self) -> str:
        """Tests all accounts at once, and asks for a transit; gives the id of the run that migrates the server."""
        accounts = self._accounts()
        asked = {account: self.panel.test(account, self.entry) for account in accounts}
        say(f"the customer: tests {', '.join(accounts)} on the new version")
        for account, request in asked.items():
            self.panel.wait(request, TESTED_IN)
            test = self.panel.tests(account)[0]
            say(f"the customer: {account} answers at {', '.join(test['names'].values())}: {test['sentence']}")
        asked_for = self.panel.ask_for_transit(ORIGINAL, self.entry)
        self._await_begin()
        say(f"the customer: asks for a transit (a second click: {self._refusal(self.panel.ask_for_transit)})")
        return asked_for["run"]["run_id"]

    def run(self) -> None:
        """From the hand-over until the last account is moved; what went wrong is kept in `error`."""
        try:
            transit = self.panel.wait_for_state(ORIGINAL, "handed_over", HANDED_OVER_IN)["transit"]["transit"]
            accounts = self._accounts()
            say(f"the customer: the transit {transit} is ours, {len(accounts)} accounts to move")
            for account in accounts:
                began = time.monotonic()
                request = self.panel.perform(account)
                say(f"the customer: performs {account}")
                self.panel.wait(request, MOVED_IN)
                lives_on = self.panel.account(account)["server"]
                say(f"the customer: {account} is on {lives_on} ({time.monotonic() - began:.1f} s)")
        except Exception as error:
            self.error = error

    def _await_begin(self) -> None:
        """Until the panel shows that the server is being migrated."""
        until = time.monotonic() + BEGUN_IN
        while self.panel.state(server=ORIGINAL) == "serving":
            if time.monotonic() > until:
                raise LabError(f"The migration has not begun within {BEGUN_IN:g} s.")
            time.sleep(0.3)

    def _accounts(self) -> list[str]:
        return [account["account"] for account in self.panel.server(ORIGINAL)["accounts"]]

    def _refusal(self, action: Callable[[str, str], Any]) -> str:
        """The sentence with which the API refuses what was asked for already."""
        try:
            action(ORIGINAL, self.entry)
        except CallFailed as refusal:
            return str(refusal)
        raise LabError("The API has let the same be started twice.")


@dataclass
class Watch:
    """Says what each task of the run and each move does, as it comes to pass."""

    run_id: str
    printed: set[tuple[str, str]] = field(default_factory=set)

    def until_end(self, customer: Customer, seconds: float = 900) -> None:
        """Returns when the run has succeeded. Raises LabError if it, or the customer, has failed."""
        until = time.monotonic() + seconds
        while True:
            state = airflow.run("migrate_server", self.run_id)["state"]
            self._print_tasks(airflow.tasks("migrate_server", self.run_id))
            self._print_moves()
            if customer.error:
                raise LabError(f"The customer could not perform: {customer.error}") from customer.error
            if state == "success":
                return
            if state == "failed":
                raise LabError(f"The migration failed: {reason('migrate_server', self.run_id)}")
            if time.monotonic() > until:
                raise LabError(f"The migration took longer than {seconds:g} s: its run {self.run_id} goes on.")
            time.sleep(0.5)

    def _print_tasks(self, tasks: list[dict[str, Any]]) -> None:
        for task in sorted(tasks, key=lambda task: task["start_date"] or "~"):
            name, state, tries = task["task_id"], task["state"], task["try_number"]
            if state in ("deferred", "up_for_retry") or state in ENDED:
                key = (name, f"{state}{tries}")
                if key in self.printed:
                    continue
                self.printed.add(key)
                took = f" ({seconds(task):.1f} s)" if state in ENDED else ""
                word = {"success": "done", "deferred": "waits", "up_for_retry": "failed, is tried again"}
                say(f"  {name}: {word.get(state, state)}{took}")

    def _print_moves(self) -> None:
        with registry_connection() as conn:
            migrations = [migration for migration in registry.list_migrations(conn) if migration.run_id == self.run_id]
            moves = registry.moves_of(conn, migrations[0].id) if migrations else []
        for move in moves:
            key = (f"{move.account} {move.direction}", f"{move.state} {move.epoch}")
            if key in self.printed:
                continue
            self.printed.add(key)
            held = move.figures.switch.held_ms
            more = f" (held {held / 1000:.2f} s)" if move.state == "done" and held else ""
            say(f"    {move.account}, {move.direction}: {move.state}{more}")


def seconds(task: dict[str, Any]) -> float:
    """How long a task instance took, its waits included."""
    if not task["start_date"] or not task["end_date"]:
        return 0.0
    return (moment(task["end_date"]) - moment(task["start_date"])).total_seconds()


def moment(text: str) -> datetime:
    """A time as Airflow's API writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def reason(dag_id: str, run_id: str) -> str:
    """The sentence with which the first failed task of a run ended, or which task it was."""
    failed = [task for task in airflow.tasks(dag_id, run_id) if task["state"] == "failed"]
    if not failed:
        return f"see its run {run_id} in Airflow"
    task = min(failed, key=lambda task: task["end_date"] or "~")
    lines = airflow.task_log(dag_id, run_id, task["task_id"], task["try_number"]).splitlines()
    errors = [line.strip() for line in lines if "Exception: " in line or "Refused: " in line]
    return f"task {task['task_id']}: {errors[-1].split(': ', 1)[1] if errors else 'see its log in Airflow'}"
