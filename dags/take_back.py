"""Take a server's accounts back from a transit that died, to what the original had when each of them left.

## What it does
Until all accounts are home, what the original had is kept: on itself until it is reinstalled, then as the disk that was
put aside. This is the way back to it. It is for a transit that is beyond help, and for nothing else: **what was written
on the transit since an account left is lost**, mail included. Nothing is done before a person has read what that is.

1. **check_transit**: the server has accounts on a transit, and the transit does not answer. While it answers nothing
   is taken back.
2. **approve_take_back**: a person reads which account loses what was written since when, and agrees. *Waits for ops.*
3. **cut_transit_off**: the transit is switched off, so that there is one writable copy whatever it was still doing;
   every account on it gets a new epoch, which fences it should its disk ever run again.
4. **start_kept_disk**: where the original was reinstalled already, the disk that it had before is started in the
   transit's place, with its name and addresses; the transit's own disk is put aside. Else there is nothing to do.
5. **take_accounts_back**: each account serves again: on the original, or on its old disk in the transit's place.
6. **lead_names_and_ips_back**: they lead to where the accounts serve.
7. **end_take_back**: where the original serves again its migration has ended (*failed*), and the run of
   `migrate_server` goes its way out; it does not wipe the transit before somebody has looked at it. Where the old disk
   stands in for the transit, the migration goes on: clear *move_accounts_home*, and the accounts go home.

## How to resume
Clear the task that failed, with everything downstream. Every step can be repeated; who has agreed is not asked again.

## By hand
* *The transit answers* but is of no use: switch its machine off, then start this again.
* *An account was made on the transit*: nothing else has it. It is removed from the registry; if the transit's disk can
  be read, its data can be saved from there.
* *wipe_transit* of the migration refuses afterwards, since the transit cannot say that it is empty. Save what can be
  saved from its disk, wipe it by hand, clear that task.
* *There is no kept disk*: the reinstall had not begun; clear *reinstall_original* first, which puts it aside.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, chain, dag

from include import registry
from include.facts import TakeBackFacts
from include.moves import take_back as back
from transhumance_airflow import connections, forms
from transhumance_airflow.approvals import ApproveTakeBack
from transhumance_airflow.step import INSTALLING, Registry, given_by, log_sentences, step

FACTS = given_by("check_transit")


@dag(
    dag_id="take_back",
    dag_display_name="Take a server back from a transit that died",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    render_template_as_native_obj=True,
    max_active_runs=4,
    tags=["transhumance", "server"],
    default_args={"owner": "transhumance", "retries": 2, "retry_delay": timedelta(seconds=10)},
    params={
        "server": forms.server("Server", "The customer's own server, whose transit died (vps-1)."),
        "because": Param(
            type="string",
            minLength=1,
            maxLength=500,
            title="Because",
            description="What happened to the transit. What was written there since each account left is lost. Kept in "
            "the event log and on the server.",
        ),
        "requested_by": forms.requested_by(),
    },
)
def take_back() -> None:
    """Wiring; what each step does stands in `include.moves.take_back`."""

    @step(refusal_is_final=True)
    def check_transit(conn: Registry, params: dict[str, Any]) -> TakeBackFacts:
        """Refuses with one sentence while the transit answers, or where there is nothing to take back."""
        return back.look(conn, params["server"], connections.reach(conn))

    @step()
    def cut_transit_off(conn: Registry, facts: TakeBackFacts, params: dict[str, Any]) -> None:
        """The transit is off; its accounts have new epochs."""
        back.cut_off(conn, facts, params["because"], params["requested_by"], *connections.machines())

    @step(execution_timeout=INSTALLING)
    def start_kept_disk(conn: Registry, facts: TakeBackFacts) -> None:
        """The disk that the original had runs in the transit's place, if the original was reinstalled."""
        back.start_kept_disk(conn, facts, *connections.machines())

    @step()
    def take_accounts_back(conn: Registry, facts: TakeBackFacts) -> list[str]:
        """Each account serves again."""
        return back.take_accounts_back(conn, facts, connections.reach(conn))

    @step()
    def lead_names_and_ips_back(conn: Registry, facts: TakeBackFacts) -> list[str]:
        """Names and IPs lead to where the accounts serve."""
        names, router = connections.names(), connections.router()
        return log_sentences(back.lead_back(conn, facts, names, router, connections.reach(conn)))

    @step()
    def end_take_back(conn: Registry, facts: TakeBackFacts, params: dict[str, Any]) -> None:
        """The registry knows that it is done."""
        registry.end_take_back(conn, facts.id, params["requested_by"])

    chain(
        check_transit(),
        ApproveTakeBack(
            task_id="approve_take_back",
            task_display_name="approve the way back (ops)",
            facts=FACTS,
        ),
        cut_transit_off(FACTS),
        start_kept_disk(FACTS),
        take_accounts_back(FACTS),
        lead_names_and_ips_back(FACTS),
        end_take_back(FACTS),
    )


take_back()
