"""See and steer the pool of transits and the queue before it.

## What it does
1. **act**: what the form's *action* says, at once, with who asked and why in the event log. What cannot be done is
   refused with one sentence, and nothing has changed. (Transits are added, and taken away, by `apply_inventory`.)
2. **show_queue**: its log shows every transit, and every waiting request with its place and estimate; and for each
   account that has left its server what still came by the old path, and for how long nothing has.

| action | needs |
|---|---|
| show_queue | nothing |
| pause_transit, resume_transit | transit, reason (to pause); a lease that it has goes on |
| reserve_transit | transit, customer (empty: for everybody again) |
| allow_larger_transit | plan, larger: whether its requests may get a larger transit, at no cost |
| ask_before_reinstall | plan, approval: whether a person has to agree before a server of this plan is reinstalled |
| keep_host_keys | server, keep: whether a customer's own server shows its old SSH host keys after its reinstall |
| move_up | migration, reason: to the front of the queue |
| cancel_migration | migration, reason; not once an account has been performed |

## How to resume
Trigger it again: each action can be repeated.

## By hand
Nothing: this is the hand.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag

from include.moves import forwarding, pool
from transhumance_airflow import connections, forms
from transhumance_airflow.step import Registry, log_sentences, log_text, step


@dag(
    dag_id="manage_transits",
    dag_display_name="Manage transits",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=4,
    tags=["transhumance", "transits"],
    default_args={"owner": "transhumance", "retries": 2, "retry_delay": timedelta(seconds=5)},
    params={
        "action": Param("show_queue", type="string", enum=list(pool.ACTIONS), title="Action"),
        "transit": forms.optional("Transit", "Its name, such as transit-1.", pattern=forms.SERVER_NAME),
        "migration": Param(None, type=["null", "integer"], title="Migration", description="Its number in the queue."),
        "customer": forms.optional(
            "Customer", "For reserve_transit; empty: the transit is for everybody.", maxLength=200
        ),
        "plan": forms.optional("Plan", maxLength=64),
        "larger": Param(False, type="boolean", title="Larger transits", description="For allow_larger_transit."),
        "approval": Param(False, type="boolean", title="Approval", description="For ask_before_reinstall."),
        "server": forms.optional("Server", "For keep_host_keys, such as vps-1.", pattern=forms.SERVER_NAME),
        "keep": Param(True, type="boolean", title="Keep", description="For keep_host_keys."),
        "reason": forms.optional("Reason", "Kept in the event log.", maxLength=500),
        "requested_by": forms.requested_by(),
    },
)
def manage_transits() -> None:
    """Wiring; the actions stand in `include.moves.pool`."""

    @step(refusal_is_final=True)
    def act(conn: Registry, params: dict[str, Any]) -> None:
        """Does it, or refuses with one sentence."""
        pool.act(conn, params)

    @step()
    def show_queue(conn: Registry) -> None:
        """Logs the pool, the queue and the old paths."""
        log_text(pool.show(conn))
        log_sentences(forwarding.record_all(conn, connections.reach(conn)))

    act() >> show_queue()


manage_transits()
