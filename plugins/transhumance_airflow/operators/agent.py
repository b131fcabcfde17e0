"""Operators that have an agent do something that lasts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from include import registry
from include.agent import verbs
from include.agent.host.codec import plain
from include.agent.verbs.verb import LongVerb
from include.facts import MoveFacts, Peer, TestFacts
from include.hosts import AgentError, Host, ended
from include.moves import channel
from include.testing import copies, reports
from transhumance_airflow import connections
from transhumance_airflow.operators import BUSY
from transhumance_airflow.step import read
from transhumance_airflow.triggers import AgentOperationTrigger

OVER_BUDGET = "over_budget"
"""With this code a switch is refused before any hold: its rehearsal took longer than visitors may wait."""

LONG_VERBS: dict[str, type[LongVerb[Any]]] = {
    verb.name: verb for verb in (verbs.Check, verbs.Copy, verbs.Duplicate, verbs.Switch)
}

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
            return self._given(status)
        if status.error is not None and status.error.code == OVER_BUDGET:
            # Refused before any hold, and a retry would be as slow.
            raise AirflowFailException(status.error.message)
        raise AirflowException(self.ended(status))

    def _given(self, status: verbs.OperationStatus) -> Any:
        """What the verb gives, as Airflow keeps it."""
        try:
            return plain(ended(self.operation, LONG_VERBS[self.verb], status))
        except AgentError as strange:
            raise AirflowFailException(strange.message) from None

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

    `move` are its facts, `peer` is what `open_path` gives. Its operation id is the move's key and the verb, so that
    whichever run asks, one operation runs.
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
        move = self._facts()
        with connections.registry_connection() as conn:
            # A run that is cleared from the switch on has a new epoch and no copy yet: the switch copies all.
            for state in {"copy": ["copying"], "switch": ["copying", "switching"]}[self.verb]:
                registry.advance_move(conn, move.id, state, epoch=move.epoch)
        return super().execute(context)

    def before_start(self, host: Host, status: verbs.OperationStatus) -> None:
        """A switch that failed before the commit is tried once more; one that has committed goes forward."""
        if self.verb != "switch":
            return
        after = self.ended(status) if status.state in ("failed", "vanished") else None
        move = self._facts()
        with connections.registry_connection() as conn:
            started = registry.switches_of(conn, move.id)
            if len(started) >= MOST_SWITCHES and not channel.committed_on(host, move):
                first = next(filter(None, started), "it ended without a result.")
                raise AirflowFailException(
                    f"{move.account} was switched {len(started)} times in vain and serves from where it was. "
                    f"First: {first} Then: {after or 'it did not begin.'}"
                )
            registry.begin_switch(conn, move.id, after)

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """After the wait."""
        self._address()
        return super().resume(context, event)

    def _end(self, status: verbs.OperationStatus) -> Any:
        if status.error is not None and status.error.code == OVER_BUDGET:
            with connections.registry_connection() as conn:
                registry.put_off(conn, self._facts().id, status.error.message)
        return super()._end(status)

    def _facts(self) -> MoveFacts:
        return read(MoveFacts, self.move)

    def _address(self) -> None:
        move = self._facts()
        self.server = move.from_server
        self.operation = channel.operation(move, self.verb)
        self.args = {
            "account": move.login,
            "move": move.key,
            "epoch": move.epoch,
            "peer": asdict(read(Peer, self.peer)),
            **self.extra,
        }
        if self.verb == "switch":
            self.args["budget_seconds"] = move.longest_wait_seconds
        if move.engine:
            self.args |= {"engine": move.engine} if self.verb == "switch" else {"stores": [move.engine]}


class CopyOperation(AgentOperation):
    """An agent operation of one test, on the server of the original (`from_server`) or of the copy (`to_server`).

    `verb` is duplicate or check; `test` are the test's facts, `peer` is what `open_path` gives, for the first. The
    operation id is the test's key and the verb.
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
        test = read(TestFacts, self.test)
        self.server = getattr(test, self.on)
        self.operation = f"{test.key}-e{test.epoch}-{self.verb}"
        with connections.registry_connection() as conn:
            if self.verb == "check":
                asks = reports.checks(conn, test, self.on)
            else:
                asks = {**copies.duplicate(test), "peer": asdict(read(Peer, self.peer))}
        self.args = {"account": test.login, **asks}
