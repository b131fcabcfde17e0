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

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag

from include import billing
from include.panel.webhooks import enqueue_events, replay
from transhumance_airflow import forms, outbox
from transhumance_airflow.step import Registry, step


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

    @step()
    def deliver(conn: Registry, params: dict[str, Any]) -> billing.Delivered:
        """Announces and posts; fails while the receiver does not take it."""
        replay(conn, params["replay_after"], params["customer"], params["requested_by"])
        enqueue_events(conn)
        return outbox.deliver_webhooks(conn)

    deliver()


deliver_events()
