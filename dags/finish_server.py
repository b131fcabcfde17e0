"""Finish a shared server that every account has left: it is installed anew, or given up.

## What it does
1. **check_server**: a shared server; by the registry nobody lives on it or is on the way, and the server itself says
   that nothing of anybody is on it. Nothing has come by the old path for seven days, and no name in our DNS leads
   there; or the form says why that does not matter. Refusals end here and change nothing.
2. **approve_finish**: a person reads what both say at this moment, who has left, and what still comes. *Waits for ops.*
3. **erase_server**: both are asked once more; then everything on it is erased. It is installed with the infrastructure
   that the form names, or wiped. From here on nothing is forwarded for those who have left.
4. **put_into_service**: a server that was installed anew is enrolled, and takes accounts again. One that was wiped
   stays in the registry as *wiped*, and takes none.

## How to resume
Clear the task that failed, with everything downstream. Every step can be repeated; who has agreed is not asked again.

## By hand
* *check_server* names what is on it: an account that has not moved, a database or user that is no account's, mail in
  the queue. Move it, or see that it goes; then start again.
* *check_server* says who still comes by the old path: their names are outside our DNS. Ask them to point them at the
  new server, wait, or start again with a reason.
* *erase_server* was cut off: clear it. While it was at work the server holds nothing of anybody.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, chain, dag

from include.facts import FinishFacts
from include.moves import finish
from transhumance_airflow import connections, forms
from transhumance_airflow.approvals import ApproveFinish
from transhumance_airflow.step import INSTALLING, Registry, given_by, step

FACTS = given_by("check_server")


@dag(
    dag_id="finish_server",
    dag_display_name="Finish an empty shared server",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    render_template_as_native_obj=True,
    max_active_runs=16,
    tags=["transhumance", "server"],
    default_args={"owner": "transhumance", "retries": 2, "retry_delay": timedelta(seconds=10)},
    params={
        "server": forms.server("Server", "The shared server that every account has left (shared-1)."),
        "then": Param(
            finish.REINSTALL,
            type="string",
            enum=[finish.REINSTALL, finish.WIPE],
            title="Then",
            description="Install it anew, to take accounts again; or wipe it and give it up.",
        ),
        "infrastructure": forms.optional("Infrastructure", "To install it with, such as 2026.", maxLength=32),
        "because": Param(
            type="string",
            minLength=1,
            maxLength=500,
            title="Because",
            description="Why it is finished: shown to who agrees, and kept in the event log.",
        ),
        "not_quiet_because": forms.optional(
            "Not quiet, because",
            "Finish it although something still comes by the old path, or a name leads there. Kept in the event log.",
            maxLength=500,
        ),
        "requested_by": forms.requested_by(),
    },
)
def finish_server() -> None:
    """Wiring; what each step does stands in `include.moves.finish`."""

    @step(refusal_is_final=True)
    def check_server(conn: Registry, params: dict[str, Any], run_id: str) -> FinishFacts:
        """Refuses with one sentence while anybody is on it, or comes by it."""
        asked = FinishFacts.of(params, run_id)
        return finish.check(conn, asked, params["requested_by"], connections.reach(conn))

    @step(execution_timeout=INSTALLING)
    def erase_server(conn: Registry, facts: FinishFacts, params: dict[str, Any]) -> None:
        """Asks both once more; then the server is installed anew, or wiped."""
        reach = connections.reach(conn)
        finish.erase(conn, facts, params["requested_by"], reach, *connections.machines())

    @step()
    def put_into_service(conn: Registry, facts: FinishFacts) -> None:
        """It is enrolled and takes accounts again, if it was installed anew."""
        finish.put_into_service(conn, facts, connections.reach(conn))

    chain(
        check_server(),
        ApproveFinish(task_id="approve_finish", task_display_name="approve the end of the server (ops)", facts=FACTS),
        erase_server(FACTS),
        put_into_service(FACTS),
    )


finish_server()
