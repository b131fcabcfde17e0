"""Deliver events: what customers are told, to the host's own systems, every minute.

Switched off until somebody switches it on: it needs the connection `billing_webhook` (host: the whole address;
password: the secret that signs), which **Bill transits** uses as well.

## What it does
1. **deliver**: every event that happened since the last run, and that customers are told of, goes into the registry's
   outbox; then the outbox is posted to the webhook, oldest first, each message signed. What is not taken is tried again
   by later runs, after 30 seconds, then twice as long each time, up to 6 hours, for ever.

`docs/api.md` tells what a receiver gets, and how it checks the signature.

## Replay
Trigger it with **replay_after**: every event behind that id is delivered again (of one **customer**, or all). The panel
does so through the API. A receiver knows what it has by the message's key, which stays the same.

## How to resume
Wait for the next run, or clear the task: it can be repeated, and two at once share the work.

## By hand
* It fails: the log says what the receiver answered. Nothing is lost meanwhile.
* `SELECT key, attempts, last_error FROM outbox WHERE delivered_at IS NULL` shows what waits.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag

from include.panel.webhooks import enqueue_events
from include.registry import webhooks
from transhumance_airflow import connections, forms, outbox
from transhumance_airflow.taskflow import task

log = logging.getLogger(__name__)


@dag(
    dag_id="deliver_events",
    dag_display_name="Deliver events",
    doc_md=__doc__,
    schedule=timedelta(minutes=1),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    tags=["transhumance", "events"],
    default_args={"owner": "transhumance", "retries": 2, "retry_delay": timedelta(seconds=15)},
    params={
        "replay_after": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            title="Replay after",
            description="Deliver every event behind this id once more. Empty: only what is new.",
        ),
        "customer": forms.optional("Customer", "Replay only this customer's events.", maxLength=200),
        "requested_by": forms.requested_by(),
    },
)
def deliver_events() -> None:
    """Wiring; what is told stands in `include.panel`, how it is delivered in `include.billing.outbox`."""

    @task
    def deliver(params: dict[str, Any]) -> dict[str, Any]:
        """Announces and posts; fails while the receiver does not take it."""
        with connections.registry_connection() as conn:
            if params["replay_after"] is not None:
                again = webhooks.replay(conn, params["replay_after"], params["customer"])
                log.info("%d events are delivered again, as %s asked.", again, params["requested_by"])
            enqueue_events(conn)
        return outbox.deliver_webhooks()

    deliver()


deliver_events()
