"""Make a host's own server ready for moves, or take that away again. Visitors notice neither.

## What it does
**prepare**: puts a front before the web server of the server, which stays as it is: it can keep an account's visitors
waiting, and pass them on. The mail servers ask our tables first, and a reload of PHP cuts nobody any more. What fails
is undone. Its log says what is still to be done there by a person, and what the server lacks for a move. Again on a
server that is prepared: what is new is brought there.

With *take away* it removes all of that: visitors are led past the front, which finishes what it has. Refused while an
account is away from this server, or came to it by a move.

## How to resume
Clear the task, or trigger it again.

## By hand
What is in the way is a sentence in the log: what it is on the server, and what to do about it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag

from include.moves import prepare as preparations
from transhumance_airflow import connections, forms
from transhumance_airflow.step import Registry, log_sentences, step


@dag(
    dag_id="prepare_server",
    dag_display_name="Prepare a host's own server",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=16,
    tags=["transhumance", "server"],
    default_args={
        "owner": "transhumance",
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
    },
    params={
        "server": forms.server("Server", "A server of the host's own that is enrolled, such as web-1."),
        "take_away": Param(False, type="boolean", title="Take away", description="Make it as it was before."),
        "requested_by": forms.requested_by(),
    },
)
def prepare_server() -> None:
    """Wiring; what is done stands in `include.moves.prepare`."""

    @step(refusal_is_final=True)
    def prepare(conn: Registry, params: dict[str, Any]) -> list[str]:
        """Puts the front there, or takes it away; gives what is still to be done."""
        host = connections.reach(conn)(params["server"])
        return log_sentences(preparations.prepare(conn, params["server"], host, params["take_away"]))

    prepare()


prepare_server()
