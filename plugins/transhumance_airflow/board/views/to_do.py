"""What goes on only when somebody does something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.registry.states import MoveState, ServerState
from transhumance_airflow.board import runs, words
from transhumance_airflow.board.gather import Glance


@dataclass(frozen=True)
class Stuck:
    """Something that goes on only when somebody does something. `again`: the task to clear, where that is safe;
    `resume`: the paused transit to offer again."""

    about: str
    server: str
    says: str
    to_do: str
    path: str | None = None
    link: str = "Open it in Airflow"
    again: dict[str, Any] | None = None
    resume: str | None = None
    since: datetime | None = None


def stuck(now: Glance) -> list[Stuck]:
    """What goes on only when somebody does something, and what that is."""
    servers = {migration.run_id: migration.server for migration in now.under_way}
    servers |= {finishing.run_id: finishing.server for finishing in now.finishing}
    accounts = {move.run_id: move for move in now.moving}
    found = [trouble_line(trouble, servers, accounts) for trouble in now.troubles]
    known = {trouble.run for trouble in now.troubles}
    found += [
        Stuck(
            move.account,
            move.server,
            f"The move to {move.to_server} returned; the account serves from {move.from_server}.",
            "See why in its run, correct that, then clear the run.",
            runs.run_path(runs.DAG_OF[move.direction], move.run_id),
            since=move.state_since,
        )
        for move in now.moving
        if move.state == MoveState.RETURNED and move.run_id not in known
    ]
    wanted = {queued.plan for queued in now.queue}
    found += [
        Stuck(
            transit.name,
            transit.name,
            f"It is paused ({transit.paused_because}) while servers wait for a transit of plan {transit.plan}.",
            "Offer it again when what it was paused for is over.",
            resume=transit.name,
            since=transit.state_since,
        )
        for transit in now.transits
        if transit.paused_because and transit.plan in wanted and transit.state == ServerState.FREE
    ]
    found += [
        Stuck(
            queued.server,
            queued.server,
            f"Nobody can tell when a transit of plan {queued.plan} will be free.",
            "Add one, offer a paused one again, or allow larger ones for this plan.",
        )
        for queued in now.queue
        if queued.place.estimate is None
    ]
    return found


def trouble_line(trouble: runs.Trouble, servers: dict[str, str], accounts: dict[str, Any]) -> Stuck:
    """A failed task: what it was about, and what to press."""
    move = accounts.get(trouble.run)
    server = servers.get(trouble.run) or (move.server if move else "")
    again = {"dag_id": trouble.dag, "dag_run_id": trouble.run, "task_ids": [trouble.task]}
    return Stuck(
        move.account if move else server,
        server,
        f"{trouble.task} failed in {trouble.dag}.",
        words.TO_DO.get(trouble.task, "Its log says why. Correct that, then try again."),
        trouble.path,
        "Open the task's log",
        None if trouble.task in words.BY_HAND else again,
        since=trouble.since,
    )
