"""Find out who lives on a server that other tools filled, and adopt accounts there: from then on they can be tested and
moved.

## What it does
**discover**: the server's own configuration is read (users, web server, PHP, mail, databases, schedules), by its agent
and without changing anything. Who was found is kept, and shown by `python -m cli discover`: each account with what of
it cannot go over yet, and what is nobody's or not understood.

**adopt**: the accounts that were named are registered, as they were found. Nothing of them is changed, and nothing is
started again; they go on as before.

## How to resume
Trigger it again. An account that is adopted already is taken over as it is now.

## By hand
An account that cannot be adopted yet says why, with what to do on the server; then trigger this again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag

from include.moves import adoption
from transhumance_airflow import connections, forms
from transhumance_airflow.step import Registry, log_sentences, step


@dag(
    dag_id="adopt_accounts",
    dag_display_name="Discover and adopt accounts",
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
        "server": forms.server("Server", "A server of the registry that is enrolled, such as web-1."),
        "accounts": Param(
            [],
            type="array",
            items={"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,31}$"},
            title="Accounts",
            description="The Unix names of those to adopt, a line each. Empty: only look who lives there.",
        ),
        "requested_by": forms.requested_by(),
    },
)
def adopt_accounts() -> None:
    """Wiring; it stands in `include.moves.adoption`."""

    @step(refusal_is_final=True)
    def discover(conn: Registry, params: dict[str, Any], run_id: str) -> list[str]:
        """Reads who lives there; gives a sentence on each account, and on what is not understood."""
        host = connections.reach(conn)(params["server"])
        return log_sentences(adoption.discover(conn, params["server"], host, run_id))

    @step(refusal_is_final=True)
    def adopt(conn: Registry, params: dict[str, Any], run_id: str) -> list[str]:
        """Registers the accounts that were named, as they were found in this run."""
        host = connections.reach(conn)(params["server"])
        return log_sentences(adoption.adopt(conn, params["server"], params["accounts"], host, run_id))

    discover() >> adopt()


adopt_accounts()
