"""Enrol a server that is there already: the orchestrator's key and the agent come on it, over an access that you have.

## What it does
**enrol**: logs in once, as root, by the connection that you name; pins the server's ed25519 host key; puts the launcher
there, and beside the keys of root's authorized_keys the one that runs it and nothing else; gives the server the agent,
and writes down what it says of itself. Its log says what was written, and what the server lacks for a move.

The access is read from the connection and kept nowhere else: remove the connection afterwards if you like. Nothing of
the server's own settings is changed.

The host key is the one that the registry has. Where it has none, the first that is met is taken, and its fingerprint is
told: compare it (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there). Where the server shows another one the run
is refused, until you give that fingerprint as *host key*.

## How to resume
Trigger it again: what is there already stays as it is.

## By hand
What is in the way is a sentence in the log: what is missing on the server, and what to type there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag

from include.moves import enrol as enrolments
from transhumance_airflow import connections, forms
from transhumance_airflow.step import Registry, log_sentences, step


@dag(
    dag_id="enrol_server",
    dag_display_name="Enrol a server",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=16,
    tags=["transhumance", "server"],
    default_args={
        "owner": "transhumance",
        "retries": 2,
        "retry_delay": timedelta(seconds=5),
    },
    params={
        "server": forms.server("Server", "A server of the registry, such as web-1."),
        "access": Param(
            type="string",
            pattern="^[A-Za-z0-9_.-]{1,200}$",
            title="Access",
            description="The id of an SSH connection of Airflow's that logs in there as root.",
        ),
        "host_key": forms.optional(
            "Host key", "SHA256:... or ssh-ed25519 ..., as you have compared it there.", pattern=forms.HOST_KEY
        ),
        "requested_by": forms.requested_by(),
    },
)
def enrol_server() -> None:
    """Wiring; the enrolment stands in `include.moves.enrol`."""

    @step(refusal_is_final=True)
    def enrol(conn: Registry, params: dict[str, Any]) -> list[str]:
        """Lets the orchestrator in, and gives what was done and what is missing."""
        asked = connections.enrolment(conn, params)
        return log_sentences(enrolments.enrol_existing(conn, asked, connections.agent_of))

    enrol()


enrol_server()
