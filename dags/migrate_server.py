"""Migrate a dedicated server or VPS to a new infrastructure, through a transit and home again.

## What it does
1. **check_server**: the server, its accounts, the catalogue entry, and whether a transit can ever fit. Every account
   has been tested for it, without a blocker. The whole server is looked at: what lives there and is no account's
   (files, disks, other databases, containers, programs that listen, crontabs, zones) was signed for by a person.
   Refusals end here and change nothing.
2. **request_transit**, **wait_for_transit**: a transit of the same plan; first come, first served. *Waits for
   the pool.*
3. **install_transit**, **enrol_transit**: the transit runs the new infrastructure; its host key is pinned. Only what
   the registry *and* the transit itself call empty is installed, and handed over.
4. **hand_over**: TTLs are lowered, names that are not in our DNS are listed for the customer; the customer may
   use the transit, and its free days start.
5. **wait_until_every_account_is_moved**: *waits for the customer*, who performs each account in their own
   order and time (each a run of `move_account`, started by the panel; its names follow it). An account created
   meanwhile is waited for as well.
6. **look_at_original**, **point_names_at_transit**, **reroute_ips_to_transit**: the original itself serves nobody any
   more, and what lives there and is no account's was signed for. Every name has followed, and no cache holds an older
   answer; the transit accepts the IPs first, then they are routed to it.
7. **prove_original_empty**, **approve_reinstall**, **reinstall_original**, **enrol_original**: only what the registry
   *and* the server itself call empty is reinstalled; both are asked again at the moment of the act. Where the plan says
   so (**Manage transits**, `ask_before_reinstall`), a person sees that proof and agrees before. *Waits for ops.* The
   disk that the original had is kept: until the accounts are home, the transit has the only other copy. Its SSH host
   keys are the original's again, so that nobody who logs in there is warned (**Manage transits**, `keep_host_keys`).
8. **move_accounts_home**: one run of `move_account` for each account, one after the other.
9. **point_names_home**, **reroute_ips_home**: names, TTLs and IPs are as they were before; the original accepts
   its IPs first. What caches still know of the transit is waited out before the transit is wiped.
10. **discard_kept_disk**: once the original itself says that it serves every account.
11. **wipe_transit**, **return_transit**, **write_report**. The transit, too, is wiped only when it says that it is
    empty.

## How to resume
Clear the task that failed, with everything downstream. Every step can be repeated and asks the registry and
the servers where the work stands. Should Airflow's own database be lost: start the DAG again with the *same
run id*; it goes on from there. Do not mark a task as success in order to get past it: what follows would
refuse.

## By hand
* *check_server* names accounts that are not tested: test them, or start again with a reason to *lift the gate*, which
  is kept in the event log.
* *The customer, or the host, gives up* before any account was performed: **Manage transits**, `cancel_migration`. The
  run skips what is left, restores the TTLs, wipes the transit, returns it, and ends.
* *wait_for_transit* waits long: free or add a transit of that plan; the run goes on within ten seconds.
* *wait_until_every_account_is_moved*: start `move_account` on the customer's behalf, or ask them.
* *Names* that somebody has changed stop nothing: the logs of `hand_over`, `point_names` and
  `point_names_at_transit`, and the report, say which. Names that were added are found when
  *wait_until_every_account_is_moved* is cleared, and when their account moves.
* *Is the old path idle?* **Manage transits**, `show_queue`, and later the report, say what the original has passed on
  for each account that left it, and for how long nothing.
* *check_server*, *look_at_original* and *prove_original_empty* name what lives there and is no account's: make it an
  account's, take it away, or sign for it (the board's page of the server, or `python -m cli sign`), with a reason that
  is kept; then start again, or clear the task. What was signed for may be lost with the reinstallation.
* *An account that was deleted* on the original is not waited for once two looks (every hour, and whenever the wait is
  cleared) have not found it, nor anything of it.
* *approve_reinstall* waits: *Required actions* of the run, or the board. It fails when the answer is no, and asks again
  when it is cleared.
* *reinstall_original* says that the SSH host keys cannot be kept: it names the file. Put it right on the kept disk, or
  let the server have a new key; then clear the task.
* *reinstall_original* was cut off: clear it. While it was at work the server holds nothing of anybody.
* *wipe_transit*, or *install_transit*, names what is on the transit: an account that is in no registry, or mail that
  waits in its queue (it is tried again by itself; `postqueue -f` there does it now). Clear the task when it is gone.
* *The transit dies*: **Take a server back**; its page says what comes back and what does not.
* *move_accounts_home* fails: open the `move_account` run that it names, correct what it says, clear
  *move_accounts_home*.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import chain, dag

from include import registry
from include.facts import MigrationFacts
from include.moves import enrol, pool, report, reroute, servers
from transhumance_airflow import connections, forms
from transhumance_airflow.approvals import ApproveReinstall
from transhumance_airflow.conditions import refresh_original
from transhumance_airflow.operators.runs import MoveAccountsHome
from transhumance_airflow.operators.wait import WaitForRegistry
from transhumance_airflow.step import INSTALLING, Registry, given_by, group, log_sentences, step

MIGRATION = given_by("check_server")
TRANSIT = given_by("wait_for_transit")


@dag(
    dag_id="migrate_server",
    dag_display_name="Migrate a dedicated server or VPS",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    render_template_as_native_obj=True,
    max_active_runs=64,
    tags=["transhumance", "server"],
    default_args={"owner": "transhumance", "retries": 3, "retry_delay": timedelta(seconds=5)},
    params={
        "server": forms.server("Server", "The dedicated server or VPS to migrate, as the registry names it (vps-1)."),
        "entry": forms.entry("The migration to perform, as the catalogue names it."),
        "lift_gate_because": forms.lift_gate_because(),
        "requested_by": forms.requested_by(),
    },
)
def migrate_server() -> None:
    """Wiring; what each step does stands in `include.moves`."""

    @step(refusal_is_final=True)
    def check_server(conn: Registry, params: dict[str, Any], run_id: str) -> MigrationFacts:
        """Refuses with one sentence, or begins the migration."""
        return servers.begin(
            conn,
            params["server"],
            params["entry"],
            run_id,
            params["requested_by"],
            params["lift_gate_because"],
            connections.reach(conn),
        )

    @step(unless_given_up=True)
    def request_transit(conn: Registry, migration: MigrationFacts) -> str:
        """Takes a place in the queue for a transit of the same plan; gives the place and when one is expected."""
        return pool.request_transit(conn, migration)

    @step(unless_given_up=True, execution_timeout=INSTALLING)
    def install_transit(conn: Registry, migration: MigrationFacts) -> None:
        """The transit itself says that it is empty; then it is installed anew and its host key pinned."""
        servers.install_transit(conn, migration, connections.agent_of, *connections.machines())

    @step(unless_given_up=True)
    def enrol_transit(conn: Registry, migration: MigrationFacts, transit: str) -> dict[str, Any]:
        """Puts the agent on the transit, and sees that it is what was ordered."""
        return enrol.enrol_transit(conn, migration, transit, connections.host(transit, conn))

    @step(unless_given_up=True)
    def hand_over(conn: Registry, migration: MigrationFacts, transit: str) -> list[str]:
        """TTLs are low; the transit says once more that it is empty, and is the customer's to use: its free
        days start. Gives what they are told of names that will not follow."""
        host = connections.host(transit, conn)
        return log_sentences(servers.hand_over(conn, migration, host, connections.names()))

    @step()
    def look_at_original(conn: Registry, migration: MigrationFacts) -> None:
        """The original itself serves nobody any more, and what else lives there was signed for."""
        reroute.look_at_original(conn, migration, connections.host(migration.server, conn))

    @step()
    def point_names_at_transit(conn: Registry, migration: MigrationFacts) -> list[str]:
        """Makes sure that every name in the host's DNS leads to the transit's own addresses."""
        return log_sentences(reroute.names_to_transit(conn, migration, connections.names()))

    @step()
    def reroute_ips_to_transit(conn: Registry, migration: MigrationFacts, transit: str) -> list[str]:
        """The transit accepts the original's IPs, then they are routed to it."""
        return reroute.ips_to_transit(conn, migration, transit, connections.router(), connections.reach(conn))

    @step()
    def prove_original_empty(conn: Registry, migration: MigrationFacts) -> None:
        """The registry and the original itself say that nobody lives there."""
        servers.prove_original_empty(conn, migration, connections.host(migration.server, conn))

    @step(execution_timeout=INSTALLING)
    def reinstall_original(conn: Registry, migration: MigrationFacts) -> None:
        """Asks both again, reinstalls the original with the new infrastructure, and pins the host key that it shows."""
        original = connections.host(migration.server, conn)
        servers.reinstall(conn, migration, original, *connections.machines())

    @step()
    def enrol_original(conn: Registry, migration: MigrationFacts) -> dict[str, Any]:
        """Puts the agent on the original, and sees that it is what was ordered."""
        return enrol.enrol_reinstalled(conn, migration, connections.host(migration.server, conn))

    # The way out of a migration that was cancelled, too: what lies between is skipped, and the registry decides.
    @step(trigger_rule="none_failed")
    def point_names_home(conn: Registry, migration: MigrationFacts) -> list[str]:
        """Makes sure that every name in the host's DNS leads to the original again, with the TTL that it had."""
        return log_sentences(reroute.names_home(conn, migration, connections.reach(conn), connections.names()))

    @step(unless_given_up=True)
    def reroute_ips_home(conn: Registry, migration: MigrationFacts, transit: str) -> list[str]:
        """The original accepts its IPs again, they are routed to it, and the transit lets them go."""
        return reroute.ips_home(conn, migration, transit, connections.router(), connections.reach(conn))

    @step()
    def discard_kept_disk(conn: Registry, migration: MigrationFacts) -> None:
        """The original says that it serves every account; then the disk that it had before goes."""
        original, (machines, _) = connections.host(migration.server, conn), connections.machines()
        servers.discard_kept_disk(conn, migration, original, machines)

    @step(trigger_rule="none_failed", execution_timeout=INSTALLING)
    def wipe_transit(conn: Registry, migration: MigrationFacts) -> None:
        """The transit itself says that nobody lives there; then nothing of the customer stays on it."""
        servers.wipe_transit(conn, migration, connections.agent_of, *connections.machines())

    @step()
    def return_transit(conn: Registry, migration: MigrationFacts) -> None:
        """The transit is free for the next in the queue."""
        registry.return_transit(conn, migration.id)

    @step()
    def write_report(conn: Registry, migration: MigrationFacts) -> str:
        """What happened, as one JSON file and one event; gives the file's path."""
        return report.finish(conn, migration.id, connections.reports_folder())

    begun = check_server()
    with group(
        "get_transit", "A transit of the same plan: asked for, waited for, installed, handed over"
    ) as handed_over:
        chain(
            request_transit(MIGRATION),
            WaitForRegistry(
                task_id="wait_for_transit",
                task_display_name="wait for a free transit (the pool)",
                condition="transit_assigned",
                about=MIGRATION,
            ),
            install_transit(MIGRATION),
            enrol_transit(MIGRATION, TRANSIT),
            hand_over(MIGRATION, TRANSIT),
        )
    accounts_moved = WaitForRegistry(
        task_id="wait_until_every_account_is_moved",
        task_display_name="wait until every account is moved (the customer)",
        condition="every_account_moved",
        about=MIGRATION,
        refresh=refresh_original,
    )
    # Until no cache that keeps to TTLs holds an older answer; meanwhile the old place goes on forwarding.
    with group("reroute_to_transit", "Names and IPs of the original lead to the transit") as rerouted:
        chain(
            look_at_original(MIGRATION),
            point_names_at_transit(MIGRATION),
            WaitForRegistry(task_id="wait_until_names_lead_to_transit", condition="names_settled", about=MIGRATION),
            reroute_ips_to_transit(MIGRATION, TRANSIT),
        )
    with group("reinstall", "The original is proven empty, reinstalled and enrolled") as reinstalled:
        chain(
            prove_original_empty(MIGRATION),
            ApproveReinstall(
                task_id="approve_reinstall",
                task_display_name="approve the reinstall (ops, if the plan asks)",
                migration=MIGRATION,
            ),
            reinstall_original(MIGRATION),
            enrol_original(MIGRATION),
        )
    accounts_home = MoveAccountsHome(task_id="move_accounts_home", migration=MIGRATION)
    with group("reroute_home", "Names and IPs lead to the original again") as home:
        chain(
            point_names_home(MIGRATION),
            reroute_ips_home(MIGRATION, TRANSIT),
            WaitForRegistry(task_id="wait_until_names_lead_home", condition="names_settled", about=MIGRATION),
        )
    with group("give_transit_back", "The transit is wiped and goes back to the pool") as given_back:
        chain(discard_kept_disk(MIGRATION), wipe_transit(MIGRATION), return_transit(MIGRATION))
    reported = write_report(MIGRATION)
    chain(begun, handed_over, accounts_moved, rerouted, reinstalled, accounts_home, home, given_back, reported)


migrate_server()
