"""Campaigns, as ops begin and steer them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from include import catalogue, registry
from include.campaigns import preflight
from include.registry.states import CAMPAIGN

log = logging.getLogger(__name__)

WHOSE: dict[str, Callable[[psycopg.Connection, str, date], list[registry.Account]]] = {
    "overdue": lambda conn, entry, today: registry.overdue(conn, entry, today),
    "all": lambda conn, entry, today: registry.accounts_before(conn, entry),
}


@dataclass(frozen=True)
class Asked:
    """What ops asked for: the form, the run that it became, the host's own day, and how servers are looked at."""

    params: dict[str, Any]
    run_id: str
    today: date
    sight: preflight.Sight


@dataclass(frozen=True)
class Acted:
    """What was done: `campaign` is the one that this run performs, since it began it; `said` is for the log."""

    said: str
    campaign: int | None = None


def act(conn: psycopg.Connection, asked: Asked) -> Acted:
    """Does what the form's action says, by the catalogue as its files say it, or refuses with one sentence; tells the
    log what was done."""
    catalogue.take_over(conn)
    acted = ACTIONS[asked.params["action"]](conn, asked)
    log.info("\n%s", acted.said)
    return acted


def show(conn: psycopg.Connection) -> str:
    """Every campaign, newest first, as a text."""
    lines = ["campaign  entry                     state    accounts"]
    for campaign in registry.list_campaigns(conn):
        states: dict[str, int] = {}
        for account in registry.campaign_accounts(conn, campaign.id):
            states[account.state] = states.get(account.state, 0) + 1
        counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        why = f"; {campaign.why}" if campaign.why else ""
        lines.append(f"{campaign.id:8}  {campaign.entry:25} {campaign.state:8} {counts}{why}")
    return "\n".join(lines)


def _start(conn: psycopg.Connection, asked: Asked) -> Acted:
    params, entry = asked.params, asked.params["entry"]
    begun = next((campaign for campaign in registry.list_campaigns(conn) if campaign.run_id == asked.run_id), None)
    if begun is None:
        settings = {name: params[name] for name in registry.CAMPAIGN_SETTINGS}
        by, accounts = params["requested_by"], _accounts(conn, asked)
        begun = registry.begin_campaign(conn, entry, asked.run_id, by, accounts, settings)
    return Acted(show(conn), begun.id)


def _accounts(conn: psycopg.Connection, asked: Asked) -> list[str]:
    accounts = WHOSE[asked.params["accounts"]](conn, asked.params["entry"], asked.today)
    return [account.name for account in accounts]


def _look(conn: psycopg.Connection, asked: Asked) -> Acted:
    """What lies ahead of a campaign that is not begun."""
    entry = asked.params["entry"]
    preflights = preflight.check(conn, entry, _accounts(conn, asked), asked.sight)
    preflight.tell_customers(conn, entry, preflights, asked.params["requested_by"])
    return Acted(preflight.summary(preflights))


def _live(conn: psycopg.Connection, entry: str) -> int:
    live = [
        campaign.id
        for campaign in registry.list_campaigns(conn)
        if campaign.entry == entry and campaign.state not in CAMPAIGN.ended
    ]
    if not live:
        raise registry.RegistryRefused(f"No campaign of {entry} is under way: start one.")
    return live[0]


def _pause(conn: psycopg.Connection, asked: Asked) -> Acted:
    params = asked.params
    registry.pause_campaign(conn, _live(conn, params["entry"]), _reason(params), params["requested_by"])
    return Acted(show(conn))


def _resume(conn: psycopg.Connection, asked: Asked) -> Acted:
    params = asked.params
    registry.resume_campaign(conn, _live(conn, params["entry"]), params["requested_by"])
    return Acted(show(conn))


def _stop(conn: psycopg.Connection, asked: Asked) -> Acted:
    params = asked.params
    registry.stop_campaign(conn, _live(conn, params["entry"]), _reason(params), params["requested_by"])
    return Acted(show(conn))


def _reason(params: dict[str, Any]) -> str:
    if not params["reason"]:
        raise registry.RegistryRefused(f"{params['action']} needs a reason: fill in the form.")
    return params["reason"]


ACTIONS: dict[str, Callable[[psycopg.Connection, Asked], Acted]] = {
    "start": _start,
    "look": _look,
    "pause": _pause,
    "resume": _resume,
    "stop": _stop,
    "show": lambda conn, asked: Acted(show(conn)),
}
