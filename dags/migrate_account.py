"""Perform a migration for one account of a shared server: it moves to a server of the new version, for good.

## What it does
One run moves one account; a customer's *perform* is a run of this DAG, and a campaign starts one for each account. It
is the move that **Move one account** makes, to a server that the registry chooses. The customer stops nothing. There
is no way back once it has switched.

1. **check_account**: the account, its latest test of this migration, and a server of the new version with room for it.
   A test with a blocker, or none at all, is a refusal. Refusals end here and change nothing.
2. **wait_for_turn**: a server takes part in two such moves at a time. *Waits for others to end*, within ten seconds of
   it; then the move begins, to the server with the most room at that moment.
3. **list_names**: names that its customer added since are taken in, so that they follow; names outside our DNS are told
   in the log, each with what the customer has to do.
4. **look_before**: the account as its visitors and its customer see it, any time before the switch.
5. **run_hook_before**: the host's own programs on both servers, where there are any, may refuse the move with a line.
6. **open_path**: a key that only this move may use, from the one server to the other.
7. **copy**: everything is copied while the account goes on serving.
8. **switch**: hold, last pass, verify, commit, release. Not verified, not committed. A rehearsal comes first: if
   visitors would wait longer than was agreed, nothing is held, and the run says why.
9. **record_move**: the registry learns where the account lives, and belongs, from now on.
10. **point_names**: its names in the host's DNS lead there.
11. **look_after**: the same look; whatever is not as it was fails the run.
12. **run_hook_after**: the same programs hear that it has moved. What fails of that is told to ops, and changes
    nothing.
13. **close_path**: the key is taken away again, whatever happened; before the commit the account stays where it was.

Where the migration is that of one engine (PostgreSQL, MariaDB), the account stays where it is, and its databases of
that engine go to a server of the new version: its programs reach them by the same host name and credentials.

The old server keeps what it had of the account, closed, and passes on what still arrives there for it.

## How to resume
As for **Move one account**: clear the run. Before the commit a cleared run begins again with a new epoch; after it
every step goes forward.

## By hand
* *check_account* refuses for want of a test: test it, or give the form a reason to lift the gate; it is kept in the
  event log.
* *check_account* says that no server has room: add one, or let a server's customers leave it; then clear the run.
* Everything else is as for **Move one account**.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag

from include.facts import MoveFacts, MoveOverAsked
from include.moves import begin, names
from transhumance_airflow import connections, forms
from transhumance_airflow.moving import longest_wait, move_steps
from transhumance_airflow.operators.wait import WaitForRegistry
from transhumance_airflow.step import Registry, log_sentences, step


@dag(
    dag_id="migrate_account",
    dag_display_name="Migrate one account of a shared server",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=16,
    tags=["transhumance", "account"],
    default_args={"owner": "transhumance", "retries": 3, "retry_delay": timedelta(seconds=5)},
    params={
        "account": forms.account(),
        "entry": forms.entry("The migration to perform, as the catalogue names it."),
        "to_server": forms.optional(
            "To the server", "Empty: the one with the most room.", pattern=forms.SERVER_NAME, maxLength=32
        ),
        "longest_wait_seconds": longest_wait(),
        "lift_gate_because": forms.lift_gate_because(),
        "requested_by": forms.requested_by(),
    },
)
def migrate_account() -> None:
    """Wiring; what every move does after its beginning stands in `transhumance_airflow.moving`."""

    @step(refusal_is_final=True)
    def check_account(conn: Registry, params: dict[str, Any], run_id: str) -> MoveOverAsked:
        """Refuses with one sentence, or says what is to be moved."""
        return begin.check_over(conn, MoveOverAsked.of(params, run_id), connections.reach(conn))

    @step()
    def list_names(conn: Registry, move: MoveFacts) -> list[str]:
        """Takes in names that were added since; gives what the customer is told of those that will not follow."""
        return log_sentences(names.left_to_customer(conn, connections.names(), move))

    turn = WaitForRegistry(
        task_id="wait_for_turn",
        task_display_name="wait for a turn (the servers)",
        condition="over_begun",
        about=check_account(),
    )
    list_names(turn.output) >> move_steps(turn.output).switch


migrate_account()
