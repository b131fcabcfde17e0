"""Triggers: waits that hold no worker. Their arguments are names and numbers only, never a secret.

They poll in threads, so that a server that does not answer delays no other wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include import registry
from include.agent import verbs
from include.hosts import AgentError, HostUnreachable
from transhumance_airflow import conditions, connections

FIRST_PAUSE = 5.0
"""Seconds. A trigger that fires as soon as it starts can overtake its own deferral in the scheduler and fail
the task; every wait here begins with a check in the worker, so the first seconds hold nothing new."""


class AgentOperationTrigger(BaseTrigger):
    """Waits until the agent's `operation` on `server` no longer runs.

    Fires {"state": ...} with the state that the server told, or {"state": "unreachable", "message": ...} when
    it gave no answer for `patience` seconds (it may be booting).
    """

    def __init__(self, server: str, operation: str, poll_seconds: float = 1.0, patience: float = 600.0):
        super().__init__()
        self.server = server
        self.operation = operation
        self.poll_seconds = poll_seconds
        self.patience = patience

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's name and its arguments."""
        return (
            "transhumance_airflow.triggers.AgentOperationTrigger",
            {
                "server": self.server,
                "operation": self.operation,
                "poll_seconds": self.poll_seconds,
                "patience": self.patience,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Polls until the operation has ended."""
        loop = asyncio.get_running_loop()
        answered = loop.time()
        await asyncio.sleep(FIRST_PAUSE)
        while True:
            try:
                status = await asyncio.to_thread(self._status)
                answered = loop.time()
                if status.state != "running":
                    yield TriggerEvent({"state": status.state})
                    return
            except HostUnreachable as error:
                if loop.time() - answered > self.patience:
                    yield TriggerEvent({"state": "unreachable", "message": str(error)})
                    return
            except AgentError as error:
                yield TriggerEvent({"state": "refused", "message": error.message})
                return
            await asyncio.sleep(self.poll_seconds)

    def _status(self) -> verbs.OperationStatus:
        # The address and the pinned key are asked for each time: a wait may outlive a reinstall.
        with connections.host(self.server) as host:
            return host.call(verbs.Status(operation=self.operation))


class RegistryTrigger(BaseTrigger):
    """Waits until the condition named `fact` is met (see `conditions`); fires {"value": ...} or {"refused": why}."""

    def __init__(self, fact: str, arguments: dict[str, Any], poll_seconds: float = 1.0):
        super().__init__()
        self.fact = fact
        self.arguments = arguments
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's name and its arguments."""
        return (
            "transhumance_airflow.triggers.RegistryTrigger",
            {"fact": self.fact, "arguments": self.arguments, "poll_seconds": self.poll_seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Polls until the condition is met. A registry that does not answer is asked again."""
        await asyncio.sleep(FIRST_PAUSE)
        while True:
            try:
                value = await asyncio.to_thread(self._ask)
            except registry.RegistryRefused as refusal:
                # The worker asks once more, and is told the same.
                yield TriggerEvent({"refused": str(refusal)})
                return
            except Exception as error:
                # The wait outlives a restart of the registry; a wrong question shows in the trigger's log.
                self.log.warning("The registry gave no answer on %s: %s", self.fact, error)
                value = None
            if value is not None:
                yield TriggerEvent({"value": value})
                return
            await asyncio.sleep(self.poll_seconds)

    def _ask(self) -> Any:
        with connections.registry_connection() as conn:
            return conditions.ask(conn, self.fact, self.arguments)


class DagRunEndTrigger(BaseTrigger):
    """Waits until the run `run_id` of `dag_id` has ended; fires {"state": "success" or "failed"}."""

    def __init__(self, dag_id: str, run_id: str, poll_seconds: float = 0.5):
        super().__init__()
        self.dag_id = dag_id
        self.run_id = run_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's name and its arguments."""
        return (
            "transhumance_airflow.triggers.DagRunEndTrigger",
            {"dag_id": self.dag_id, "run_id": self.run_id, "poll_seconds": self.poll_seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Polls the run's state."""
        await asyncio.sleep(FIRST_PAUSE)
        while True:
            state = await run_state(self.dag_id, self.run_id)
            if state in ("success", "failed"):
                yield TriggerEvent({"state": state})
                return
            await asyncio.sleep(self.poll_seconds)


class CampaignTrigger(BaseTrigger):
    """Waits until one of the `runs` ([DAG, run id]) of a campaign has ended, or the campaign is no longer in `state`;
    fires {}."""

    def __init__(self, campaign: int, state: str, runs: list[list[str]], poll_seconds: float = 1.0):
        super().__init__()
        self.campaign = campaign
        self.state = state
        self.runs = runs
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's name and its arguments."""
        return (
            "transhumance_airflow.triggers.CampaignTrigger",
            {"campaign": self.campaign, "state": self.state, "runs": self.runs, "poll_seconds": self.poll_seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Polls. A registry that does not answer is asked again."""
        await asyncio.sleep(FIRST_PAUSE)
        while True:
            try:
                steered = await asyncio.to_thread(self._state) != self.state
            except Exception as error:
                self.log.warning("The registry gave no answer on campaign %s: %s", self.campaign, error)
                steered = False
            if steered or await self._one_ended():
                yield TriggerEvent({})
                return
            await asyncio.sleep(self.poll_seconds)

    def _state(self) -> str:
        with connections.registry_connection() as conn:
            return registry.campaign(conn, self.campaign).state

    async def _one_ended(self) -> bool:
        for dag_id, run_id in self.runs:
            if await run_state(dag_id, run_id) in ("success", "failed"):
                return True
        return False


async def run_state(dag_id: str, run_id: str) -> str:
    """The state of a run, asked of Airflow from the triggerer."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    state = await asyncio.to_thread(RuntimeTaskInstance.get_dagrun_state, dag_id, run_id)
    return getattr(state, "value", state)  # an enum whose text is not its value
