"""What the registry's outbox holds goes on its way: by webhook, and as mail."""

from __future__ import annotations

from typing import Any

import psycopg
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException, AirflowSkipException

from include import billing
from include.campaigns.letters import Mailer
from transhumance_airflow.step import refusing

WEBHOOK = "billing_webhook"
SMTP = "smtp"


def deliver_webhooks(conn: psycopg.Connection) -> billing.Delivered:
    """Posts what waits; fails while the receiver does not take it."""
    to = _connection(WEBHOOK)
    with refusing():
        return _taken(billing.deliver(conn, billing.Receiver(to.host or "", to.password or "")))


def send_mails(conn: psycopg.Connection) -> billing.Delivered:
    """Mails what waits; fails while the mail server does not take it."""
    to = _connection(SMTP)
    settings = to.extra_dejson
    mailer = Mailer(
        to.host, to.port or 587, settings["from"], to.login, to.password, settings.get("security", "starttls")
    )
    with mailer.session() as send:
        return _taken(billing.hand_on(conn, "mail", send))


def _connection(conn_id: str) -> Any:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise AirflowSkipException(f"There is no connection {conn_id}: messages wait in the outbox.") from None


def _taken(delivered: billing.Delivered) -> billing.Delivered:
    if delivered.failed:
        raise AirflowException(
            f"{delivered.failed} messages were not taken ({delivered.error}); {delivered.waiting} wait."
        )
    return delivered
