"""Remind customers of mandatory migrations: at the opening, on days before the deadline, and at the deadline.

Runs every morning, in the host's time zone.

## What it does
1. **take_over_catalogue**: what changed in the files of `config/migrations/` becomes a fact of the registry.
2. **refresh_servers**: the room of the shared, test and database servers, by which they are chosen, and the accounts
   that were created on them. One that does not answer is told in the log, and delays nothing.
3. **enter_reminders**: for each account that still runs the old version, the reminder that is due today, once. One
   whose days have passed (nothing ran, or the account is new) is not sent belatedly: the next one says more. The days
   stand in `config/settings.toml`.
4. **send_mails**: to the customers whose address the registry knows. Skipped without the connection `smtp` (host, port,
   login, password; extra `{"from": ..., "security": "starttls"}`, or `tls`, or `none`); mails then wait.
5. **deliver_webhooks**: to the host's own system. Skipped without the connection `billing_webhook`.

## How to resume
Clear the task that failed, or wait for the next morning: every step can be repeated, and each reminder goes out once.

## By hand
* *send_mails* or *deliver_webhooks* fails: its log says what the receiver answered. Messages are tried again for ever,
  less and less often.
* A customer gets no mail: `registry.set_customer_mail` gives them an address.
* A deadline was moved: correct the file of the entry. Reminders that were sent are not sent again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag
from airflow.timetables.trigger import CronTriggerTimetable

from include import billing, catalogue, registry
from include.moves import servers
from include.settings import read_settings
from transhumance_airflow import connections, outbox
from transhumance_airflow.step import Registry, log_sentences, step

SETTINGS = read_settings()
PATIENT: dict[str, Any] = {"retries": 8, "retry_exponential_backoff": True, "max_retry_delay": timedelta(hours=1)}


@dag(
    dag_id="remind_customers",
    dag_display_name="Remind customers",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("0 9 * * *", timezone=SETTINGS.time_zone),
    catchup=False,
    max_active_runs=1,
    tags=["transhumance", "campaign"],
    default_args={"owner": "transhumance", "retries": 5, "retry_delay": timedelta(minutes=1)},
)
def remind_customers() -> None:
    """Wiring; the rules stand in `include.registry.reminders`, the words in `include.campaigns.letters`."""

    @step(refusal_is_final=True)
    def take_over_catalogue(conn: Registry) -> list[str]:
        """The catalogue's files are what the registry goes by; gives the entries."""
        return sorted(catalogue.take_over(conn))

    @step()
    def refresh_servers(conn: Registry) -> list[str]:
        """Asks every server that many share; gives a sentence on each that does not answer."""
        return log_sentences(servers.refresh_all(conn, connections.reach(conn)))

    @step()
    def enter_reminders(conn: Registry) -> int:
        """Puts the reminders that are due today into the outbox; gives how many."""
        return registry.remind(conn, SETTINGS.today(), SETTINGS.remind_before_deadline)

    @step(**PATIENT)
    def send_mails(conn: Registry) -> billing.Delivered:
        """Mails what waits in the outbox."""
        return outbox.send_mails(conn)

    @step(**PATIENT)
    def deliver_webhooks(conn: Registry) -> billing.Delivered:
        """Posts what waits in the outbox."""
        return outbox.deliver_webhooks(conn)

    take_over_catalogue() >> refresh_servers() >> enter_reminders() >> [send_mails(), deliver_webhooks()]


remind_customers()
