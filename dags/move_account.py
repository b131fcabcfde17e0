"""Move one account from the server where it lives to another.

## What it does
One run moves one account; a customer's *perform* is a run of this DAG, and so is each move home. The copy and
the switch-over run on the account's own server and need nobody: from hold to release Airflow only watches.

1. **check_account**: the account, the server it goes to, and whether it may go. Refusals end here and
   change nothing.
2. **wait_for_turn**: one account of a server moves at a time. What a customer performs *waits for
   the others*, within ten seconds of the end of one; a run by hand is refused, unless its form says *wait*.
3. **look_before**: the account as its visitors and its customer see it, any time before the switch.
4. **run_hook_before**: the host's own programs on both servers, where there are any, may refuse the move with a line.
5. **open_path**: a key that only this move may use, from the one server to the other.
6. **copy**: everything is copied while the account goes on serving.
7. **switch**: hold, last pass, verify, commit, release. Not verified, not committed.
   A rehearsal comes first: if visitors would wait longer than was agreed, nothing is held, and the run says why.
8. **record_move**: the registry learns where the account lives now, and what was measured and verified.
9. **point_names**: its names in the host's DNS lead there; once it is home they have their TTLs back. A name that
   somebody else has changed, or that is not in our DNS, is told in the log and in the report.
10. **look_after**: the same look; whatever is not as it was fails the run.
11. **run_hook_after**: the same programs hear that it has moved. What fails of that is told to ops, and changes
    nothing.
12. **close_path**: the key is taken away again, whatever happened; before the commit the account stays where
    it was.

## How to resume
Clear the run (all of it, or from the task that failed). Every step can be repeated. A copy or switch that
still runs on the server is attached to. Before the commit a cleared run begins again with a new epoch; after
it every step goes forward. A second run for the same account is refused while this one is not done or
returned. The same `dag_run_id` cannot be started twice: Airflow's API answers 409.

## By hand
* *switch* says what was not equal: the account serves from where it was, nothing is lost. Correct it, clear
  the run. It has been tried twice: visitors meet no third hold by itself.
* *switch* says that visitors would wait too long: do what it names, or, if the customer agrees, start the DAG
  again with a larger *longest wait* (a move home: so as well, then clear *move_accounts_home*).
* The account's server is gone after the commit: the account serves from the new one; clear the run when the
  server is back, so that it forwards what still arrives there.
* Airflow is gone altogether: a held account returns by itself when its deadline passes.
* *look_after* tells a difference that is the customer's own doing: mark the task as success.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag

from include.facts import MoveAsked
from include.moves import begin
from transhumance_airflow import connections, forms
from transhumance_airflow.moving import longest_wait, move_steps
from transhumance_airflow.operators.wait import WaitForRegistry
from transhumance_airflow.step import Registry, step


@dag(
    dag_id="move_account",
    dag_display_name="Move one account",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=256,
    tags=["transhumance", "account"],
    default_args={"owner": "transhumance", "retries": 3, "retry_delay": timedelta(seconds=5)},
    params={
        "account": forms.account(),
        "to_server": forms.server(
            "To the server",
            "The transit that was handed over for this account's server (out), or its own server (home).",
        ),
        "longest_wait_seconds": longest_wait(),
        "if_another_moves": Param(
            begin.REFUSE,
            type="string",
            enum=[begin.REFUSE, begin.WAIT],
            title="If another account of its server moves",
            description="One moves at a time. What a customer performs waits for its turn.",
        ),
        "requested_by": forms.requested_by(),
    },
)
def move_account() -> None:
    """Wiring; what each step does stands in `include.moves`, and what every move does after its beginning in
    `transhumance_airflow.moving`."""

    @step(refusal_is_final=True)
    def check_account(conn: Registry, params: dict[str, Any], run_id: str) -> MoveAsked:
        """Refuses with one sentence, or says what is to be moved: the account, both servers, whether it may go."""
        asked = MoveAsked.of(params, run_id)
        return begin.check_move(conn, asked, params["if_another_moves"], connections.reach(conn))

    turn = WaitForRegistry(
        task_id="wait_for_turn",
        task_display_name="wait for a turn (the server)",
        condition="move_begun",
        about=check_account(),
    )
    move_steps(turn.output)


move_account()
