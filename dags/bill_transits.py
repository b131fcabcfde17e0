"""Bill the transits: a charge a lease and day, once the free days are over.

Runs daily, after midnight in the host's time zone.

## What it does
1. **take_over_settings**: time zone and free days from `config/settings.toml` become facts of the registry.
2. **bill_days**: every day that is over and was not billed yet, for all leases at once. However long nothing
   ran, and whichever day it is told to stop at, the ledger gets what it would have got day by day. It knows
   by itself what was missed: Airflow's own catch-up is off and no backfill is needed.
3. **settle_late_facts**: leases of which something became known late (a hand-over, a price, that the last
   account had left, a correction by ops) are brought to what is true, by new entries. None is ever changed.
4. **send_reminders**: on the days before the end of the free days that the settings name, and at the first
   charge; each once.
5. **deliver_webhooks**: the outbox goes to the accounting system and the panel. Skipped without the
   connection `billing_webhook` (host: the whole address; password: the secret that signs); messages then
   wait.
6. **check_prices** fails when a lease was due on a day without a price for its plan.

## Dry run
Trigger it with **dry_run**: **show_what_would_be_billed** logs a table of every open lease, what it would be
charged, and why. Nothing is written.

## How to resume
Clear the task that failed, or wait for the next night: every step can be repeated, and two runs at once take
turns. `docs/billing.md` tells the rules.

## By hand
* *check_prices* failed: add the plan's price, valid from the day it names or before. The next run charges
  what was left out.
* *deliver_webhooks* fails: its log says what the receiver answered. Messages are tried again for ever, less
  and less often.
* A lease was recorded wrong, or a customer is granted more days: `include.billing.correct_lease`, with a
  reason. The next run enters the correction.
* A bill is disputed: `SELECT * FROM ledger_entries WHERE lease = ... ORDER BY day, number` shows each day,
  the price in force, and why it was corrected.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag
from airflow.timetables.trigger import CronTriggerTimetable

from include import billing
from include.settings import read_settings
from transhumance_airflow import outbox
from transhumance_airflow.step import Registry, log_text, step, task

SETTINGS = read_settings()


@dag(
    dag_id="bill_transits",
    dag_display_name="Bill transits",
    doc_md=__doc__,
    schedule=CronTriggerTimetable(
        f"{SETTINGS.run_at_minute % 60} {SETTINGS.run_at_minute // 60} * * *", timezone=SETTINGS.time_zone
    ),
    catchup=False,
    max_active_runs=1,
    tags=["transhumance", "billing"],
    default_args={"owner": "transhumance", "retries": 5, "retry_delay": timedelta(minutes=1)},
    params={
        "through_day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Through day",
            description="The last day to bill; it must be over. Empty: the last day that is over.",
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Only show what would be billed, and why; nothing is written.",
        ),
    },
)
def bill_transits() -> None:
    """Wiring; the rules stand in `include.billing`."""

    @step(kind=task.branch)
    def dry_run_or_not(conn: Registry, params: dict[str, Any]) -> str:
        """Which way the run goes."""
        return {True: "show_what_would_be_billed", False: "take_over_settings"}[params["dry_run"]]

    @step(refusal_is_final=True)
    def show_what_would_be_billed(conn: Registry, params: dict[str, Any]) -> None:
        """Logs a line a lease: what it would be charged, and why."""
        log_text(billing.would_bill(conn, billing.day_or_none(params["through_day"])).table())

    @step(refusal_is_final=True)
    def take_over_settings(conn: Registry) -> list[str]:
        """Time zone and free days, as ops have set them; gives what changed."""
        return billing.apply_settings(conn, SETTINGS)

    @step(refusal_is_final=True)
    def bill_days(conn: Registry, params: dict[str, Any]) -> billing.Billed:
        """Charges every lease for every day that is over and was not billed yet."""
        return billing.bill_days(conn, billing.day_or_none(params["through_day"]))

    @step()
    def settle_late_facts(conn: Registry) -> billing.Settled:
        """Enters what follows from facts that became known late."""
        return billing.settle_late_facts(conn)

    @step(refusal_is_final=True)
    def send_reminders(conn: Registry) -> int:
        """Puts the reminders that are due into the outbox; gives how many."""
        return billing.send_reminders(conn, SETTINGS.remind_before_charges)

    @step(retries=8, retry_exponential_backoff=True, max_retry_delay=timedelta(hours=1))
    def deliver_webhooks(conn: Registry) -> billing.Delivered:
        """Posts what the outbox holds; fails while the receiver does not take it."""
        return outbox.deliver_webhooks(conn)

    @step(refusal_is_final=True)
    def check_prices(conn: Registry, billed: billing.Billed) -> None:
        """Fails, so that somebody looks, when a lease could not be billed for want of a price."""
        billing.require_prices(billed)

    billed = bill_days()
    settings = take_over_settings()
    dry_run_or_not() >> [show_what_would_be_billed(), settings]
    settings >> billed >> settle_late_facts() >> send_reminders() >> deliver_webhooks()
    check_prices(billed)


bill_transits()
