"""The accountant: bills the transit on a day when the free days are over, and again when all accounts have left.

Only the clock of billing is moved (`transhumance.clock_offset` of the registry's database), as `docs/billing.md` tells;
the DAG is the one that runs every night.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from decimal import Decimal

import psycopg

from include import billing, registry
from include.settings import read_settings
from lab import airflow, postgres
from lab.demo.run import await_hand_over, reason
from lab.demo.stage import registry_connection
from lab.say import LabError, say

DAYS_AHEAD = read_settings().free_days + 2
"""The free days, the broken day at their end, and one whole day more."""
BILLED_IN = 120.0
"""Seconds for a run of `bill_transits`."""


@dataclass(frozen=True)
class Bill:
    """What the ledger says: the entries, and the sentence that the customer reads."""

    entries: list[billing.Entry]
    forecast: str

    @property
    def total(self) -> Decimal:
        """The sum of all entries."""
        return sum((entry.amount for entry in self.entries), Decimal())


class Accountant(threading.Thread):
    """Bills an overdue transit while the customer still moves; the ledger is kept in `overdue`."""

    def __init__(self, run_id: str) -> None:
        super().__init__(name="the accountant", daemon=True)
        self.run_id = run_id
        self.migration: registry.Migration | None = None
        self.overdue: Bill | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        """Until the overdue day is billed and the clock is right again."""
        try:
            self.migration = await_hand_over(self.run_id)
            _move_clock(f"{DAYS_AHEAD} days")
            try:
                self.overdue = _bill(self.migration, "overdue")
            finally:
                _move_clock(None)
            say(f"the accountant, {DAYS_AHEAD} days ahead: {self.overdue.total} so far. {self.overdue.forecast}")
        except Exception as error:
            self.error = error

    def final_bill(self) -> Bill:
        """The bill when all accounts have left, by the true clock."""
        self.join()
        if self.error or self.migration is None:
            raise LabError(f"The transit could not be billed: {self.error}") from self.error
        return _bill(self.migration, "settled")


def _bill(migration: registry.Migration, name: str) -> Bill:
    """Runs `bill_transits` once and reads the ledger."""
    run_id = f"{name}-{migration.id}-{int(time.time())}"
    airflow.trigger("bill_transits", run_id, {})
    until = time.monotonic() + BILLED_IN
    while (state := airflow.run("bill_transits", run_id)["state"]) not in ("success", "failed"):
        if time.monotonic() > until:
            raise LabError(f"bill_transits took longer than {BILLED_IN:g} s (run {run_id}).")
        time.sleep(0.5)
    if state == "failed":
        raise LabError(f"bill_transits failed: {reason('bill_transits', run_id)}")
    with registry_connection() as conn:
        lease = registry.certain(registry.lease_of(conn, migration.id))
        return Bill(list(billing.entries(conn)), billing.forecast(conn, lease.id).sentence())


def _move_clock(offset: str | None) -> None:
    # A setting that PostgreSQL does not know is for its superuser to make.
    with psycopg.connect(postgres.dsn("registry", user="postgres")) as conn:
        if offset is None:
            conn.execute("ALTER DATABASE registry RESET transhumance.clock_offset")
        else:
            conn.execute(f"ALTER DATABASE registry SET transhumance.clock_offset = '{offset}'")
