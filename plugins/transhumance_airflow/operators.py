"""Operators: start something that lasts, wait for it without a worker, and never start it twice.

Each checks in the worker before it defers. Retries come from the DAG's default_args; a retry attaches to what
already runs, since what is started bears a name that does not change: an operation id, a run id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from include import registry
from include.agent import verbs
from include.campaigns import waves
from include.hosts import AgentError, Host
from include.moves import path, servers
from include.registry.kinds import Direction
from include.registry.states import MoveState
from include.testing import copies, reports
from transhumance_airflow import connections, facts
from transhumance_airflow.triggers import (
    FIRST_PAUSE,
    AgentOperationTrigger,
    CampaignTrigger,
    DagRunEndTrigger,
    RegistryTrigger,
)

SHORT = 6.0
"""Seconds that a worker itself waits for a fact: a deferral costs about as much, and one that resumes at once may
fail."""

BUSY = 15.0
"""Seconds that a worker itself waits for something that is at work, an operation or a run: a small account is through
within them, and many of them in a row make up most of what Airflow adds to a migration."""

INSTALLING = timedelta(hours=3)
"""So long a task may work on a machine; any other, as long as airflow_local_settings says."""

OVER_BUDGET = "over_budget"
"""With this code a switch is refused before any hold: its rehearsal took longer than visitors may wait."""

QUIETER = (1, 2, 5, 10, 20, 40)
"""The minutes after which a move home that was put off is tried again: the moment was a busy one."""

MOST_SWITCHES = 2
"""How often a run switches an account before it gives up: so many holds at most can a visitor meet."""


class AgentOperation(BaseOperator):
    """Starts the agent's long `verb` on `server` under the id `operation`, or attaches to it; gives its result.

    When the operation failed the task fails with the agent's sentence, and a retry starts it again under the
    same id. `args` is the verb's; `timeout` bounds the wait.
    """

    template_fields: Sequence[str] = ("server", "operation", "verb", "args")
    ui_color = "#dcecf7"

    def __init__(
        self,
        *,
        server: Any,
        operation: Any,
        verb: str,
        args: Any,
        timeout: timedelta = timedelta(hours=12),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.server = server
        self.operation = operation
        self.verb = verb
        self.args = args
        self.timeout = timeout

    def execute(self, context: Context) -> Any:
        """Starts or attaches, waits a few seconds, then defers."""
        host = connections.host(self.server)
        status = self._ours(host.call(verbs.Status(operation=self.operation)))
        if status.state not in ("running", "succeeded"):
            self.before_start(host, status)
            status = host.call(verbs.Start(operation=self.operation, verb=self.verb, args=self.args))
        until = time.monotonic() + BUSY
        while status.state == "running" and time.monotonic() < until:
            time.sleep(0.15)
            status = host.call(verbs.Status(operation=self.operation))
        return self._end(status)

    def before_start(self, host: Host, status: verbs.OperationStatus) -> None:
        """The last chance to refuse; `status` is that of the start before, or unknown."""

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """After the wait: the server is asked once more, since the event is only a hint."""
        if event["state"] == "unreachable":
            raise AirflowException(event["message"])
        return self._end(self._ours(connections.host(self.server).call(verbs.Status(operation=self.operation))))

    def _ours(self, status: verbs.OperationStatus) -> verbs.OperationStatus:
        """The status, if the server did or does under this id what this task wants: one of the same name may have been
        asked for by a registry of which this one is an older copy."""
        if status.state == "unknown":
            return status
        if status.verb is None:
            raise AirflowFailException(f"The agent on {self.server} is of an earlier version: enrol that server again.")
        if _what(status.verb, status.args) != _what(self.verb, self.args):
            raise AirflowFailException(
                f"{self.server} knows {self.operation} as {status.verb} of {status.args.get('account')} with "
                "other arguments than this task's, so nothing is taken from it: see there whose it was, then begin "
                "a new run."
            )
        return status

    def _end(self, status: verbs.OperationStatus) -> Any:
        state = status.state
        if state == "running":
            self.log.info("%s runs on %s: %s", self.operation, self.server, status.progress)
            self.defer(
                trigger=AgentOperationTrigger(self.server, self.operation),
                method_name="resume",
                timeout=self.timeout,
            )
        if state == "succeeded":
            return status.result
        if status.error is not None and status.error.code == OVER_BUDGET:
            # Refused before any hold, and a retry would be as slow.
            raise AirflowFailException(status.error.message)
        raise AirflowException(self.ended(status))

    def ended(self, status: verbs.OperationStatus) -> str:
        """How an operation that did not succeed ended: one sentence."""
        if status.error is not None:
            return status.error.message
        return f"{self.verb} on {self.server} ended without a result (the server may have been restarted)."


def _what(verb: str, args: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What an operation does; how long it may take can be another number after a change of the settings."""
    return verb, {name: value for name, value in args.items() if not name.endswith("_seconds")}


class MoveOperation(AgentOperation):
    """An agent operation of one move, on the server that the account leaves.

    `move` is what `check_account` gives, `peer` what `open_path` gives; both are public facts. Its operation id
    is the move's key and the verb, so that whichever run asks, one operation runs.
    """

    template_fields: Sequence[str] = ("move", "peer", "verb", "extra")

    def __init__(self, *, move: Any, peer: Any, verb: str, extra: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(server=None, operation=None, verb=verb, args=None, **kwargs)
        self.move = move
        self.peer = peer
        self.extra = extra or {}

    def execute(self, context: Context) -> Any:
        """Tells the registry how far the move is, then starts or attaches."""
        self._address()
        with connections.registry_connection() as conn:
            # A run that is cleared from the switch on has a new epoch and no copy yet: the switch copies all.
            for state in {"copy": ["copying"], "switch": ["copying", "switching"]}[self.verb]:
                registry.advance_move(conn, self.move["id"], state, epoch=self.move["epoch"])
        return super().execute(context)

    def before_start(self, host: Host, status: verbs.OperationStatus) -> None:
        """A switch that failed before the commit is tried once more; one that has committed goes forward."""
        if self.verb != "switch":
            return
        after = self.ended(status) if status.state in ("failed", "vanished") else None
        with connections.registry_connection() as conn:
            started = registry.switches_of(conn, self.move["id"])
            if len(started) >= MOST_SWITCHES and not path.committed_on(host, self.move):
                first = next(filter(None, started), "it ended without a result.")
                raise AirflowFailException(
                    f"{self.move['account']} was switched {len(started)} times in vain and serves from where it was. "
                    f"First: {first} Then: {after or 'it did not begin.'}"
                )
            registry.begin_switch(conn, self.move["id"], after)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """After the wait."""
        self._address()
        return super().resume(context, event)

    def _end(self, status: verbs.OperationStatus) -> Any:
        if status.error is not None and status.error.code == OVER_BUDGET:
            with connections.registry_connection() as conn:
                registry.put_off(conn, self.move["id"], status.error.message)
        return super()._end(status)

    def _address(self) -> None:
        self.server = self.move["from_server"]
        self.operation = path.operation(self.move, self.verb)
        self.args = {
            "account": self.move["account"],
            "move": self.move["key"],
            "epoch": self.move["epoch"],
            "peer": self.peer,
            **self.extra,
        }
        if self.verb == "switch":
            self.args["budget_seconds"] = self.move["longest_wait_seconds"]
        if engine := self.move["engine"]:
            self.args |= {"engine": engine} if self.verb == "switch" else {"stores": [engine]}


class CopyOperation(AgentOperation):
    """An agent operation of one test, on the server of the original (`from_server`) or of the copy (`to_server`).

    `verb` is duplicate or check; `test` is what `replace_old_test` gives, `peer` what `open_path` gives, for the first.
    The operation id is the test's key and the verb.
    """

    template_fields: Sequence[str] = ("test", "peer", "on", "verb")

    def __init__(self, *, test: Any, on: str, verb: str, peer: Any = None, **kwargs: Any) -> None:
        super().__init__(server=None, operation=None, verb=verb, args=None, **kwargs)
        self.test = test
        self.peer = peer
        self.on = on

    def execute(self, context: Context) -> Any:
        """Starts or attaches."""
        self._address()
        return super().execute(context)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """After the wait."""
        self._address()
        return super().resume(context, event)

    def _address(self) -> None:
        self.server = self.test[self.on]
        self.operation = f"{self.test['key']}-e{self.test['epoch']}-{self.verb}"
        with connections.registry_connection() as conn:
            if self.verb == "check":
                asks = reports.checks(conn, self.test, self.on)
            else:
                asks = {**copies.duplicate(self.test), "peer": self.peer}
        self.args = {"account": self.test["account"], **asks}


class WaitForRegistry(BaseSensorOperator):
    """Waits, without a worker and for as long as it takes, until the registry knows `fact`; gives its value.

    `refresh(conn, **arguments)` runs in a worker before the registry is believed: it brings in what only a
    server knows (an account created meanwhile).
    """

    template_fields: Sequence[str] = ("fact", "arguments")
    ui_color = "#f7ecd0"

    def __init__(
        self,
        *,
        fact: str,
        arguments: Any,
        refresh: Callable[..., None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fact = fact
        self.arguments = arguments
        self.refresh = refresh

    def execute(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Asks for some seconds, then defers. A fact that a trigger saw is asked for again: it may have changed."""
        until = time.monotonic() + SHORT
        with connections.registry_connection() as conn, refusing():
            if self.refresh is not None and not facts.given_up(conn, self.arguments):
                self.refresh(conn, **self.arguments)
            while (value := facts.ask(conn, self.fact, self.arguments)) is None and time.monotonic() < until:
                time.sleep(0.3)
        if value == facts.GIVEN_UP:
            raise AirflowSkipException(f"Nothing to wait for any more: {value}.")
        if value is not None:
            return value
        self.log.info("Waiting until the registry knows %s %s.", self.fact, self.arguments)
        self.defer(trigger=RegistryTrigger(self.fact, self.arguments), method_name="execute")


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

    template_fields: Sequence[str] = (*StartOrAttachDagRun.template_fields, "migration", "original")

    def __init__(self, *, migration: Any, original: Any, **kwargs: Any) -> None:
        super().__init__(dag_id_to_run="move_account", run_id_to_run=None, conf=None, **kwargs)
        self.migration = migration
        self.original = original
        self.tries: dict[str, list[float]] = {}
        """Of each account that was put off: how often, and when (Unix time) it is tried again."""
        self.failed: dict[str, str] = {}
        """The accounts that are tried no more, and why."""

    def execute(self, context: Context) -> Any:
        """Takes the accounts that are not home yet, until all are, or those that are left need a person."""
        last = None
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
            run_id = f"home-{self.migration}-{account}"
            if run_id == last:
                raise AirflowFailException(
                    f"The run {run_id} ended well but {account} does not live on {self.original}: look at that run, "
                    "then clear it."
                )
            last = self.start_or_attach(
                run_id, {"account": account, "to_server": self.original, **self._agreed(account)}
            )
        if self.failed:
            self._fail()
        return None

    def _away(self) -> list[str]:
        with connections.registry_connection() as conn, refusing():
            transit = registry.certain(registry.migration(conn, self.migration).transit)
            servers.refresh(conn, transit, connections.host(transit, conn))
            return registry.accounts_not_on(conn, self.migration, self.original)

    def _agreed(self, account: str) -> dict[str, Any]:
        """The wait that the customer agreed to on the way out holds for the way home."""
        with connections.registry_connection() as conn:
            moves = registry.moves_of(conn, self.migration)
        return next(
            (
                {"longest_wait_seconds": move.figures["longest_wait_seconds"]}
                for move in moves
                if (move.account, move.direction) == (account, Direction.OUT) and "longest_wait_seconds" in move.figures
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
        account = run_id.removeprefix(f"home-{self.migration}-")
        with connections.registry_connection() as conn:
            why = registry.why_run_failed(conn, account, run_id) or "its own grid tells where."
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
                for move in registry.moves_of(conn, self.migration)
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


@contextmanager
def refusing() -> Iterator[None]:
    """A refusal inside ends the task with its sentence: no retry would change it. A lost connection does not."""
    try:
        yield
    except (registry.Refused, AgentError) as error:
        raise AirflowFailException(str(error)) from None


def skip_if_given_up(conn: psycopg.Connection, migration: dict[str, Any]) -> None:
    """Skips the task when the migration was cancelled meanwhile: the way out, wiping its transit, is further down."""
    now = registry.migration(conn, migration["id"])
    if now.given_up:
        raise AirflowSkipException(f"The migration of {now.server} is {now.state}.")
