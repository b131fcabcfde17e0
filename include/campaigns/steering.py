"""Campaigns, as ops begin and steer them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import psycopg

from include import registry
from include.registry.states import CAMPAIGN

WHOSE: dict[str, Callable[[psycopg.Connection, str, date], list[registry.Account]]] = {
    "overdue": lambda conn, entry, today: registry.overdue(conn, entry, today),
    "all": lambda conn, entry, today: registry.accounts_before(conn, entry),
}


def act(conn: psycopg.Connection, params: dict[str, Any], run_id: str, today: date) -> int | None:
    """Does what `params["action"]` says, or refuses with one sentence. Gives the campaign that this run performs: the
    one that it began; None where it only steers another's."""
    return ACTIONS[params["action"]](conn, params, run_id, today)


def show(conn: psycopg.Connection) -> str:
    """Every campaign, newest first, as a text."""
    lines = ["campaign  entry                     state    accounts"]
    for one in registry.list_campaigns(conn):
        states: dict[str, int] = {}
        for account in registry.campaign_accounts(conn, one.id):
            states[account.state] = states.get(account.state, 0) + 1
        counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        lines.append(f"{one.id:8}  {one.entry:25} {one.state:8} {counts}{f'; {one.why}' if one.why else ''}")
    return "\n".join(lines)


def _start(conn: psycopg.Connection, params: dict[str, Any], run_id: str, today: date) -> int:
    entry = params["entry"]
    begun = next((one for one in registry.list_campaigns(conn) if one.run_id == run_id), None)
    if begun is None:
        accounts = [account.name for account in WHOSE[params["accounts"]](conn, entry, today)]
        settings = {name: params[name] for name in registry.CAMPAIGN_SETTINGS}
        begun = registry.begin_campaign(conn, entry, run_id, params["requested_by"], accounts, settings)
    return begun.id


def _live(conn: psycopg.Connection, entry: str) -> int:
    live = [one.id for one in registry.list_campaigns(conn) if one.entry == entry and one.state not in CAMPAIGN.ended]
    if not live:
        raise registry.Refused(f"No campaign of {entry} is under way: start one.")
    return live[0]


def _pause(conn: psycopg.Connection, params: dict[str, Any], run_id: str, today: date) -> None:
    registry.pause_campaign(conn, _live(conn, params["entry"]), _reason(params), params["requested_by"])


def _resume(conn: psycopg.Connection, params: dict[str, Any], run_id: str, today: date) -> None:
    registry.resume_campaign(conn, _live(conn, params["entry"]), params["requested_by"])


def _stop(conn: psycopg.Connection, params: dict[str, Any], run_id: str, today: date) -> None:
    registry.stop_campaign(conn, _live(conn, params["entry"]), _reason(params), params["requested_by"])


def _reason(params: dict[str, Any]) -> str:
    if not params["reason"]:
        raise registry.Refused(f"{params['action']} needs a reason: fill in the form.")
    return params["reason"]


ACTIONS: dict[str, Callable[[psycopg.Connection, dict[str, Any], str, date], int | None]] = {
    "start": _start,
    "pause": _pause,
    "resume": _resume,
    "stop": _stop,
    "show": lambda conn, params, run_id, today: None,
}
