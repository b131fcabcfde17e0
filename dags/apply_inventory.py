"""Tell the registry what the host has: sites, plans and prices, customers, servers with their addresses, zones.

## What it does
1. **compare**: reads the document of the form (YAML; docs/inventory.md says what is in it), and logs a line for each
   thing that would be added, changed, removed or refused. With *apply* it is done: all of it, or, where a part is
   refused, nothing, and the run fails with the reasons.

What is not in the document is removed where nothing depends on it: begin from what
`python -m cli inventory export` gives.

## How to resume
Trigger it again: the same document changes nothing twice.

## By hand
`python -m cli inventory plan FILE`, then `apply`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag

from include.inventory import difference
from transhumance_airflow import forms
from transhumance_airflow.step import Registry, log_sentences, step


@dag(
    dag_id="apply_inventory",
    dag_display_name="Apply an inventory",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["transhumance", "inventory"],
    default_args={"owner": "transhumance", "retries": 2, "retry_delay": timedelta(seconds=5)},
    params={
        "document": forms.document(),
        "apply": Param(False, type="boolean", title="Apply", description="Off: only say what would be done."),
        "requested_by": forms.requested_by(),
    },
)
def apply_inventory() -> None:
    """Wiring; the comparison stands in `include.inventory`."""

    @step(refusal_is_final=True)
    def compare(conn: Registry, params: dict[str, Any]) -> list[str]:
        """Says what would be done, or does it; refuses with the reasons."""
        changes = difference.plan_or_apply(conn, params["document"], params["apply"], params["requested_by"])
        return log_sentences(difference.lines(changes))

    compare()


apply_inventory()
