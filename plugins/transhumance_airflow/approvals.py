"""A person's yes: before an original is reinstalled, where its plan asks for one, before a transit is given up, and
before a shared server is erased."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from airflow.providers.standard.exceptions import HITLRejectException
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from include import registry
from include.facts import FinishFacts, MigrationFacts, TakeBackFacts
from include.moves import finish, servers, take_back
from include.registry.kinds import EventKind
from include.registry.states import MigrationState
from transhumance_airflow import connections
from transhumance_airflow.step import read, refusing


class ApproveReinstall(ApprovalOperator):
    """Asks a person whether the original of `migration` may be reinstalled, and shows them that it is empty; at once
    over when its plan asks nobody, or somebody has agreed before. No: the task fails, and is not retried.

    While it waits it holds no worker. The answer is kept in the registry's event log.
    """

    template_fields: Sequence[str] = ("migration",)
    ui_color = "#f7ecd0"

    def __init__(self, *, migration: Any, **kwargs: Any) -> None:
        super().__init__(subject="Reinstall the original?", fail_on_reject=True, **kwargs)
        self.migration = migration

    def execute(self, context: Context) -> Any:
        """Asks, unless there is nothing to ask."""
        id = self._facts().id
        with connections.registry_connection() as conn, refusing():
            proof = registry.proof_of_emptiness(conn, id)
            if not proof.asks:
                self.log.info("The plan of %s asks nobody.", proof.server)
                return None
            if servers.past(registry.migration(conn, id).state, MigrationState.ORIGINAL_EMPTY):
                self.log.info("%s is being reinstalled, or was.", proof.server)
                return None
            if (before := registry.approved_by(conn, id)) is not None:
                self.log.info("%s has agreed.", before)
                return None
            said = servers.ask_whether_empty(conn, proof.server, connections.host(proof.server, conn))
            unclaimed = registry.unclaimed_of(conn, proof.server)
        self.subject = f"Reinstall {proof.server} with infrastructure {proof.to_infrastructure}?"
        self.body = servers.emptiness(proof, said, unclaimed)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """After the answer, which is kept."""
        by = (event.get("responded_by_user") or {}).get("name") or "somebody"
        try:
            answered = super().execute_complete(context, event)
        except HITLRejectException:
            self._keep(False, by)
            raise AirflowFailException(
                f"{by} said no: {self._facts().server} is not reinstalled. Find out why, then clear this task."
            ) from None
        self._keep(True, by)
        return answered

    def _keep(self, approved: bool, by: str) -> None:
        with connections.registry_connection() as conn:
            registry.answer_approval(conn, self._facts().id, approved, by)

    def _facts(self) -> MigrationFacts:
        return read(MigrationFacts, self.migration)


class Approve(ApprovalOperator):
    """Asks a person before something that cannot be undone, and shows them what it is; at once over where somebody has
    agreed before. No: the task fails, and is not retried. While it waits it holds no worker."""

    template_fields: Sequence[str] = ("facts",)
    ui_color = "#f7ecd0"

    def __init__(self, *, facts: Any, **kwargs: Any) -> None:
        super().__init__(subject="Go on?", fail_on_reject=True, **kwargs)
        self.facts = facts

    def question(self, conn: psycopg.Connection) -> tuple[str, str] | None:
        """The question in a line, and what they read; None where it is answered."""
        raise NotImplementedError

    def keep(self, conn: psycopg.Connection, by: str) -> None:
        """Keeps who has agreed."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Asks, unless it was answered before."""
        with connections.registry_connection() as conn, refusing():
            asked = self.question(conn)
        if asked is None:
            self.log.info("Somebody has agreed before.")
            return None
        self.subject, self.body = asked
        self.log.info("%s", self.body)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """After the answer; a yes is kept."""
        by = (event.get("responded_by_user") or {}).get("name") or "somebody"
        try:
            answered = super().execute_complete(context, event)
        except HITLRejectException:
            raise AirflowFailException(f"{by} said no: nothing was changed.") from None
        with connections.registry_connection() as conn:
            self.keep(conn, by)
        return answered


class ApproveTakeBack(Approve):
    """Whether the transit may be given up: a person sees what is lost with it."""

    def question(self, conn: psycopg.Connection) -> tuple[str, str] | None:
        """See `Approve`."""
        facts = read(TakeBackFacts, self.facts)
        if registry.taken_back(conn, facts.id) is not None:
            return None
        return f"Give {facts.transit} up, and take {facts.server} back?", take_back.what_is_lost(conn, facts)

    def keep(self, conn: psycopg.Connection, by: str) -> None:
        """See `Approve`."""
        facts = read(TakeBackFacts, self.facts)
        registry.event(conn, EventKind.TAKE_BACK_APPROVED, migration=facts.id, server=facts.server, by=by)


class ApproveFinish(Approve):
    """Whether a shared server may be erased: a person sees that it is empty, and what still comes by it."""

    def question(self, conn: psycopg.Connection) -> tuple[str, str] | None:
        """See `Approve`."""
        facts = read(FinishFacts, self.facts)
        if registry.finish_approved_by(conn, facts.server, facts.run_id) is not None:
            return None
        return f"Erase {facts.server}, and {facts.then} it?", finish.question(conn, facts, connections.reach(conn))

    def keep(self, conn: psycopg.Connection, by: str) -> None:
        """See `Approve`."""
        finish.approved(conn, read(FinishFacts, self.facts), by)
