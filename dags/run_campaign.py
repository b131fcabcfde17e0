"""Perform a migration for every account that is overdue, in waves: canaries first.

## What it does
1. **act**: what the form's *action* says. *start* begins a campaign of the entry; the others steer the one that is
   under way, and this run ends there. What cannot be done is refused with one sentence, and nothing has changed.
2. **look_ahead**: what cannot be moved is said before anything begins, one line each: the account, what is in the way
   and where, what to do. The newest test says it where it is recent or has a blocker; of the others their server is
   asked, which reads names and definitions and changes nothing. Those accounts are *left*, and the campaign goes on
   with the others; their customers read it in the panel.
3. **perform_in_waves**: the accounts of the first wave, the *canaries*; when all of them have ended, the next wave, and
   so on. An account that was never tested is tested first (a run of **Test one account**); one whose test has a blocker
   is left. The others are performed (a run of **Migrate one account** each, with its own grid). *A paused campaign
   waits here*: what runs ends, nothing more begins.
4. **write_report**: how each account fared, and why: as JSON, and its part for people in the log.
5. **tell_result**: fails, so that somebody looks, when so many accounts of a wave failed that the campaign has stopped.

| action | what happens |
|---|---|
| start | for the accounts that are overdue on a mandatory entry, or for all that still run its old version |
| look | only *look_ahead*, for the accounts that *start* would take: nothing begins |
| pause, resume | what runs ends, nothing more begins; the run of the campaign goes on within ten seconds of *resume* |
| stop | as pause, for good: the accounts that have not begun are left |
| show | the log of *act* shows every campaign |

An account that fails is back in service on its old server, as after every move that did not commit, and the report
says why.

## How to resume
Clear the run, or start it again with the *same run id*: who is done, under way, waiting stands in the registry. An
account's run that goes on is attached to. An account that failed stays failed in this campaign.

## By hand
* *The campaign has stopped by itself*: read the report, mend what it names, start another. It takes what is still
  overdue.
* *One account failed*: open its run, mend what it says, clear that run: it is performed then, campaign or not.
* *An account was left*: its reason says what is in the way and where. Its customer mends it and tests again, or the
  host does where the line says so; then start another campaign. To move it all the same, run **Migrate one account of a
  shared server** for it, with a reason to lift the gate.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag

from include import registry
from include.campaigns import preflight, report, steering, waves
from include.settings import read_settings
from transhumance_airflow import connections, forms
from transhumance_airflow.moving import longest_wait
from transhumance_airflow.operators.runs import PerformInWaves
from transhumance_airflow.step import Registry, log_text, step, task


@dag(
    dag_id="run_campaign",
    dag_display_name="Run a campaign",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=16,
    tags=["transhumance", "campaign"],
    default_args={"owner": "transhumance", "retries": 3, "retry_delay": timedelta(seconds=5)},
    params={
        "entry": forms.entry("The migration to perform, as the catalogue names it."),
        "action": Param(
            "start",
            type="string",
            enum=list(steering.ACTIONS),
            title="Action",
            description="Start a campaign of this entry, or steer the one that is under way.",
        ),
        "accounts": Param(
            "overdue",
            type="string",
            enum=list(steering.WHOSE),
            title="Accounts",
            description="Whose deadline is over, or all that still run the old version.",
        ),
        "wave_size": Param(
            20, type="integer", minimum=1, maximum=1000, title="Wave", description="Accounts in a wave after the first."
        ),
        "canaries": Param(
            3, type="integer", minimum=0, maximum=100, title="Canaries", description="Accounts in the first wave."
        ),
        "most_per_server": Param(
            2,
            type="integer",
            minimum=1,
            maximum=registry.MAX_MOVES_PER_SERVER,
            title="Most per server",
            description="Accounts of one server that are tested at a time, and that are performed beside them.",
        ),
        "most_failures_percent": Param(
            20,
            type="integer",
            minimum=0,
            maximum=100,
            title="Most failures (%)",
            description="When more of a wave than this has failed, the campaign stops.",
        ),
        "longest_wait_seconds": longest_wait(),
        "reason": forms.optional("Reason", "To pause or to stop: kept in the event log.", maxLength=500),
        "requested_by": forms.requested_by(),
    },
)
def run_campaign() -> None:
    """Wiring; what a campaign does stands in `include.campaigns`."""

    @step(kind=task.short_circuit, refusal_is_final=True)
    def act(conn: Registry, params: dict[str, Any], run_id: str) -> int | None:
        """Begins a campaign and gives its number, or steers another: then nothing is left to do for this run."""
        sight = preflight.Sight(connections.reach(conn))
        return steering.act(conn, steering.Asked(params, run_id, read_settings().today(), sight)).campaign

    @step()
    def look_ahead(conn: Registry, campaign: int) -> str:
        """Which accounts cannot be moved, and why: told to ops and to their customers before anything begins; they are
        left."""
        return log_text(preflight.check_campaign(conn, campaign, preflight.Sight(connections.reach(conn))))

    @step()
    def write_report(conn: Registry, campaign: int) -> str:
        """How each account fared, as one JSON file and one event; gives the file's path."""
        return str(report.write(conn, campaign, connections.reports_folder()))

    @step(refusal_is_final=True)
    def tell_result(conn: Registry, campaign: int) -> None:
        """Fails when the campaign stopped by itself."""
        waves.require_well(conn, campaign)

    campaign = act()
    performed = PerformInWaves(task_id="perform_in_waves", campaign=campaign)
    look_ahead(campaign) >> performed >> write_report(campaign) >> tell_result(campaign)


run_campaign()
