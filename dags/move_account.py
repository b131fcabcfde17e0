"""Move one account from the server where it lives to another.

## What it does
One run moves one account; a customer's *perform* is a run of this DAG, and so is each move home. The copy and
the switch-over run on the account's own server and need nobody: from hold to release Airflow only watches.

1. **check_account**: the account, the server it goes to, and whether it may go now. Refusals end here and
   change nothing.
2. **look_before**: the account as its visitors and its customer see it, any time before the switch.
3. **open_path**: a key that only this move may use, from the one server to the other.
4. **copy**: everything is copied while the account goes on serving.
5. **switch**: hold, last pass, verify, commit, release. Not verified, not committed.
   A rehearsal comes first: if visitors would wait longer than was agreed, nothing is held, and the run says why.
6. **record_move**: the registry learns where the account lives now, and what was measured and verified.
7. **point_names**: its names in the host's DNS lead there; once it is home they have their TTLs back. A name that
   somebody else has changed, or that is not in our DNS, is told in the log and in the report.
8. **look_after**: the same look; whatever is not as it was fails the run.
9. **close_path**: the key is taken away again, whatever happened; before the commit the account stays where
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

from airflow.sdk import Param, dag, task

from include import registry
from include.hosts import Host
from include.moves import look as looks
from include.moves import names, path, servers
from transhumance_airflow import connections, forms
from transhumance_airflow.facts import told
from transhumance_airflow.look import look
from transhumance_airflow.operators import MoveOperation, refusing

HOLD_SECONDS = 60
"""After this long without a commit the server itself returns the account to service."""


@dag(
    dag_id="move_account",
    dag_display_name="Move one account",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=16,
    tags=["transhumance", "account"],
    default_args={"owner": "transhumance", "retries": 3, "retry_delay": timedelta(seconds=5)},
    params={
        "account": Param(
            type="string",
            pattern="^[a-z][a-z0-9_-]{0,31}$",
            title="Account",
            description="The Unix name of the account, as `describe` lists it.",
        ),
        "to_server": forms.server(
            "To the server",
            "The transit that was handed over for this account's server (out), or its own server (home).",
        ),
        "longest_wait_seconds": Param(
            1,
            type="number",
            minimum=0.1,
            maximum=60,
            title="Longest wait",
            description="How many seconds a visitor may have to wait while the account is switched over. A rehearsal "
            "measures it first: if it would be longer, the account stays where it is, and you are told why.",
        ),
        "requested_by": forms.requested_by(),
    },
)
def move_account() -> None:
    """Wiring; what each step does stands in `include.moves`."""

    @task(multiple_outputs=False)
    def check_account(params: dict[str, Any], run_id: str) -> dict[str, Any]:
        """Refuses with one sentence, or begins the move: the account, both servers, and whether it may go now."""
        account, to_server, by = (params[name] for name in ("account", "to_server", "requested_by"))
        with connections.registry_connection() as conn, refusing():

            def reach(server: str) -> Host:
                return connections.host(server, conn)

            servers.make_known(conn, account, to_server, reach)
            begun = path.begin(conn, account, to_server, run_id, by, reach)
            return {**begun, "longest_wait_seconds": params["longest_wait_seconds"]}

    @task(multiple_outputs=False)
    def look_before(move: dict[str, Any]) -> dict[str, Any]:
        """The account as its visitors and customer see it. Kept in the registry, and not taken again after the
        commit."""
        with connections.registry_connection() as conn:
            return looks.before(conn, move, look)

    @task(multiple_outputs=False)
    def open_path(move: dict[str, Any]) -> dict[str, Any]:
        """Pairs the two servers; the target is ready to receive."""
        with connections.registry_connection() as conn:
            both = [registry.server(conn, move[end]) for end in ("from_server", "to_server")]
            source, target = (connections.host(server.name, conn) for server in both)
            return path.open_path(move, source, target, both)

    @task(multiple_outputs=False)
    def record_move(move: dict[str, Any], switched: dict[str, Any], copied: dict[str, Any]) -> dict[str, Any]:
        """The registry learns in one transaction where the account lives, and what was verified."""
        agreed = {"longest_wait_seconds": move["longest_wait_seconds"]}
        with connections.registry_connection() as conn:
            registry.advance_move(conn, move["id"], "committed", {"copy": copied, "switch": switched, **agreed})
        return switched

    @task
    def point_names(move: dict[str, Any]) -> list[str]:
        """The account's names lead to where it lives now; gives what its customer is told of those that do not."""
        with connections.registry_connection() as conn:
            home = registry.account(conn, move["account"]).home_server
            return told(names.follow(conn, connections.names(), home, move["account"]))

    @task(multiple_outputs=False)
    def look_after(move: dict[str, Any], before: dict[str, Any]) -> None:
        """The same look at the account where it lives now; fails with every difference."""
        with connections.registry_connection() as conn:
            looks.after(conn, move, before, look)

    @task(multiple_outputs=False)
    def close_path(move: dict[str, Any]) -> str:
        """Takes the move's key off both servers. Before the commit the account goes back into service first."""
        with connections.registry_connection() as conn:
            source, target = (connections.host(move[end], conn) for end in ("from_server", "to_server"))
            return path.close_path(conn, move, source, target)

    move = check_account()
    before = look_before(move)
    peer = open_path(move)
    copied = MoveOperation(task_id="copy", verb="copy", move=move, peer=peer)
    switched = MoveOperation(
        task_id="switch", verb="switch", move=move, peer=peer, extra={"hold_seconds": HOLD_SECONDS}, retries=2
    )
    recorded = record_move(move, switched.output, copied.output)
    pointed = point_names(move)
    after = look_after(move, before)
    closed = close_path(move)

    peer >> copied
    [before, copied] >> switched >> recorded >> [pointed, after, closed]
    # A teardown runs whatever failed between, and is cleared together with any of it: the path opens again.
    # Every end of the graph decides whether the run ended well.
    closed.as_teardown(setups=[move, peer], on_failure_fail_dagrun=True)


move_account()
