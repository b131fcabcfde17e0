"""Operators that have other runs of Airflow do something, and wait for their end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from include import registry
from include.campaigns import waves
from include.facts import MigrationFacts
from include.moves import servers
from include.registry.kinds import Direction
from include.registry.states import MoveState
from transhumance_airflow import connections
from transhumance_airflow.operators import BUSY
from transhumance_airflow.step import read, refusing
from transhumance_airflow.triggers import FIRST_PAUSE, CampaignTrigger, DagRunEndTrigger

QUIETER = (1, 2, 5, 10, 20, 40)
"""The minutes after which a move home that was put off is tried again: the moment was a busy one."""


class StartOrAttachDagRun(BaseOperator):
    """Runs `dag_id` under a fixed run id: starts it, attaches to it if it runs, runs it again if it failed.

    Waits for its end, without a worker unless it ends soon; fails when the run failed.
    """

    template_fields: Sequence[str] = ("dag_id_to_run", "run_id_to_run", "conf")
    ui_color = "#e4f2df"

    def __init__(self, *, dag_id_to_run: str, run_id_to_run: Any, conf: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dag_id_to_run = dag_id_to_run
        self.run_id_to_run = run_id_to_run
        self.conf = conf

    def execute(self, context: Context) -> str:
        """Starts or attaches, then defers."""
        return self.start_or_attach(self.run_id_to_run, self.conf)

    def resume(self, context: Context, event: dict[str, Any], run_id: str) -> str:
        """After the run's end."""
        self.ended(event, run_id)
        return run_id

    def start_or_attach(self, run_id: str, conf: dict[str, Any]) -> str:
        """Gives the run id if the run has succeeded, or soon does; else starts or attaches, and defers to `resume`."""
        state = run_state(self.dag_id_to_run, run_id)
        if state == "success":
            return run_id
        if state is None or state == "failed":
            self.log.info("%s run %s of %s.", "Starting" if state is None else "Clearing", run_id, self.dag_id_to_run)
            start_run(self.dag_id_to_run, run_id, conf, again=state == "failed")
        else:
            self.log.info("Attaching to run %s of %s.", run_id, self.dag_id_to_run)
        until = time.monotonic() + BUSY
        while time.monotonic() < until:
            time.sleep(0.3)
            if (state := run_state(self.dag_id_to_run, run_id)) in ("success", "failed"):
                self.ended({"state": state}, run_id)
                return run_id
        self.defer(
            trigger=DagRunEndTrigger(self.dag_id_to_run, run_id),
            method_name="resume",
            kwargs={"run_id": run_id, **self._kept()},
        )

    def _kept(self) -> dict[str, Any]:
        """What `resume` has to know besides the run."""
        return {}

    def ended(self, event: dict[str, Any], run_id: str) -> None:
        """Raises unless the run ended well; a retry of this task runs it again."""
        if event["state"] != "success":
            raise AirflowException(
                f"The run {run_id} of {self.dag_id_to_run} failed: its own grid tells where. This task's retry runs "
                "it again."
            )


class PerformInWaves(BaseOperator):
    """Brings a campaign to its end: starts or attaches to the runs that its accounts need, as waves and limits allow,
    and waits without a worker while they last or the campaign is paused."""

    template_fields: Sequence[str] = ("campaign",)
    ui_color = "#e4f2df"

    def __init__(self, *, campaign: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.campaign = campaign

    def execute(self, context: Context, event: dict[str, Any] | None = None) -> None:
        """Goes on from where the registry and the runs stand, until nothing is left to do."""
        until = time.monotonic() + BUSY
        while True:
            with connections.registry_connection() as conn:
                step = waves.step(conn, int(self.campaign), run_state)
            for run in step.begin:
                self.log.info("Starting run %s of %s.", run.run_id, run.dag)
                start_run(run.dag, run.run_id, run.conf, again=False)
            if step.ended:
                return
            if time.monotonic() > until:
                break
            time.sleep(1)
        runs = [[run.dag, run.run_id] for run in step.under_way]
        self.log.info("The campaign is %s; under way: %s.", step.state, ", ".join(run[1] for run in runs) or "nothing")
        self.defer(trigger=CampaignTrigger(int(self.campaign), step.state, runs), method_name="execute")


class MoveAccountsHome(StartOrAttachDagRun):
    """Moves every account of a migration home, one `move_account` run after the other.

    Who is still away is asked of the transit and of the registry each time, so that an account created meanwhile goes
    as well. One whose visitors would wait too long at that moment is put off, and the others go on; it is tried again
    at a quieter moment (`QUIETER`). After any other failure, too, the others go on; this task fails at the end.
    """

    template_fields: Sequence[str] = (*StartOrAttachDagRun.template_fields, "migration")

    def __init__(self, *, migration: Any, **kwargs: Any) -> None:
        super().__init__(dag_id_to_run="move_account", run_id_to_run=None, conf=None, **kwargs)
        self.migration = migration
        self.tries: dict[str, list[float]] = {}
        """Of each account that was put off: how often, and when (Unix time) it is tried again."""
        self.failed: dict[str, str] = {}
        """The accounts that are tried no more, and why."""

    def execute(self, context: Context) -> Any:
        """Takes the accounts that are not home yet, until all are, or those that are left need a person."""
        migration, last = self._facts(), None
        while away := [account for account in self._away() if account not in self.failed]:
            self.log.info("Still to move home: %s.", ", ".join(away))
            due = {account: self.tries.get(account, [0, 0.0])[1] for account in away}
            account = min(away, key=lambda one: (due[one], one))
            if (rest := due[account] - time.time()) > 0:
                self.log.info("%s is tried again in %.0f s, at a quieter moment.", account, rest)
                self.defer(
                    trigger=TimeDeltaTrigger(timedelta(seconds=max(rest, FIRST_PAUSE))),
                    method_name="resume",
                    kwargs={"run_id": None, **self._kept()},
                )
            run_id = f"home-{migration.id}-{account}"
            if run_id == last:
                raise AirflowFailException(
                    f"The run {run_id} ended well but {account} does not live on {migration.server}: look at that run, "
                    "then clear it."
                )
            last = self.start_or_attach(
                run_id, {"account": account, "to_server": migration.server, **self._agreed(account)}
            )
        if self.failed:
            self._fail()
        return None

    def _facts(self) -> MigrationFacts:
        return read(MigrationFacts, self.migration)

    def _away(self) -> list[str]:
        migration = self._facts()
        with connections.registry_connection() as conn, refusing():
            transit = registry.certain(registry.migration(conn, migration.id).transit)
            servers.refresh(conn, transit, connections.host(transit, conn))
            return registry.accounts_not_on(conn, migration.id, migration.server)

    def _agreed(self, account: str) -> dict[str, Any]:
        """The wait that the customer agreed to on the way out holds for the way home."""
        with connections.registry_connection() as conn:
            moves = registry.moves_of(conn, self._facts().id)
        return next(
            (
                {"longest_wait_seconds": move.figures.longest_wait_seconds}
                for move in moves
                if (move.account, move.direction) == (account, Direction.OUT)
                and move.figures.longest_wait_seconds is not None
            ),
            {},
        )

    def resume(
        self,
        context: Context,
        event: Any,
        run_id: str | None,
        tries: dict[str, list[float]] | None = None,
        failed: dict[str, str] | None = None,
    ) -> Any:
        """After one account, or a pause: the next."""
        self.tries, self.failed = tries or {}, failed or {}
        if run_id is not None:
            self.ended(event, run_id)
        return self.execute(context)

    def ended(self, event: dict[str, Any], run_id: str) -> None:
        """An account whose run failed is put off, or left to a person; the others go on."""
        if event["state"] == "success":
            return
        account = run_id.removeprefix(f"home-{self._facts().id}-")
        with connections.registry_connection() as conn:
            why = registry.why_run_failed(conn, run_id, account) or "its own grid tells where."
            put_off = registry.was_put_off(conn, account)
        tried = int(self.tries.get(account, [0, 0.0])[0])
        if put_off and tried < len(QUIETER):
            self.tries[account] = [tried + 1, time.time() + 60 * QUIETER[tried]]
            self.log.info("%s did not move home: %s", account, why)
        else:
            often = f" (tried {tried + 1} times)" if tried else ""
            self.failed[account] = f"The run {run_id} of {self.dag_id_to_run} failed{often}: {why}"

    def _kept(self) -> dict[str, Any]:
        return {"tries": self.tries, "failed": self.failed}

    def _fail(self) -> None:
        """Visitors meet no other hold before a person has looked; what else failed is tried again."""
        said = " ".join(self.failed.values())
        with connections.registry_connection() as conn:
            moves = {
                move.account: move
                for move in registry.moves_of(conn, self._facts().id)
                if move.direction == Direction.HOME
            }
            held = [
                account
                for account in self.failed
                if (move := moves.get(account))
                and move.state == MoveState.RETURNED
                and registry.switches_of(conn, move.id)
            ]
        if held:
            raise AirflowFailException(
                f"{said} {', '.join(held)} returned and serves from the transit: see why in that run, then clear this "
                "task."
            )
        raise AirflowException(f"{said} This task's retry runs it again.")


def run_state(dag_id: str, run_id: str) -> str | None:
    """The run's state, or None if there is no such run. Asked of Airflow's execution API."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    for state in ("running", "success", "failed", "queued"):  # the likeliest first
        if RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=[state]):
            return state
    return None


def start_run(dag_id: str, run_id: str, conf: dict[str, Any], again: bool) -> None:
    """Starts the run, or clears it (`again`). Should it exist by now, it is left as it is."""
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    answer = SUPERVISOR_COMMS.send(TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=conf, reset_dag_run=again))
    if isinstance(answer, ErrorResponse) and "ALREADY_EXISTS" not in str(answer.error):
        raise AirflowException(f"Airflow did not start the run {run_id} of {dag_id}: {answer.error}.")
