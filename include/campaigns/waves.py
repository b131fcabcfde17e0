"""The next step of a campaign: what has ended is noted, and what may begin is named.

An account is tested first if it never was, and then performed, each by a run of its own. A wave begins when every
account of the wave before has ended. A wave of which too many fail stops the campaign: what runs ends, nothing more
begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from include import registry

AT_WORK = ("testing", "performing")
DAG = {"testing": "test_account", "performing": "migrate_account"}

RunState = Callable[[str, str], str | None]
"""The state of a run, by DAG and run id: None when there is none, "success" and "failed" when it has ended."""


@dataclass(frozen=True)
class Run:
    """A run that an account of the campaign needs now."""

    dag: str
    run_id: str
    conf: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """What there is to do: `begin` these runs, then look again when one of `under_way` has ended, or when the
    campaign's state is no longer `state`. `ended`: nothing is, and nothing will be."""

    state: str
    begin: list[Run]
    under_way: list[Run]
    ended: bool


def step(conn: psycopg.Connection, id: int, state_of: RunState) -> Step:
    """Looks at every account of the campaign and goes on; can be repeated at any time."""
    for one in registry.campaign_accounts(conn, id):
        if one.state in AT_WORK:
            _note_end(conn, registry.campaign(conn, id), one, state_of)
    _stop_if_too_many_failed(conn, id)
    campaign = registry.campaign(conn, id)
    if campaign.state == "running":
        _begin_what_may(conn, campaign)
    accounts = registry.campaign_accounts(conn, id)
    runs = [_run(campaign, one) for one in accounts if one.state in AT_WORK]
    ended = not runs and (campaign.state not in ("running", "paused") or all(o.state != "waiting" for o in accounts))
    if ended:
        campaign = registry.finish_campaign(conn, id)
    missing = [run for run in runs if state_of(run.dag, run.run_id) is None]
    return Step(campaign.state, missing, runs, ended)


def _run(campaign: registry.Campaign, one: registry.CampaignAccount) -> Run:
    """The run that an account at work needs: its id is always the same, so that it is begun once."""
    conf = {"account": one.account, "entry": campaign.entry, "requested_by": f"campaign {campaign.id}"}
    return Run(DAG[one.state], f"campaign-{campaign.id}-{one.state}-{one.account}", conf)


def _note_end(
    conn: psycopg.Connection, campaign: registry.Campaign, one: registry.CampaignAccount, state_of: RunState
) -> None:
    """Where the account is once its run has ended."""
    run = _run(campaign, one)
    state = state_of(run.dag, run.run_id)
    if state == "failed":
        why = registry.why_run_failed(conn, one.account, run.run_id)
        registry.set_campaign_account(conn, campaign.id, one.account, "failed", why or f"See the run {run.run_id}.")
    elif state == "success" and one.state == "performing":
        registry.set_campaign_account(conn, campaign.id, one.account, "done")
    elif state == "success":
        _perform(conn, campaign, one.account)


def _perform(conn: psycopg.Connection, campaign: registry.Campaign, account: str) -> None:
    """A tested account goes on, unless its test found a blocker: that is its customer's to mend, and no failure."""
    test = registry.latest_test_of(conn, account, campaign.entry)
    if test is None:
        registry.set_campaign_account(conn, campaign.id, account, "testing")
    elif test.blockers:
        reason = f"Its test found {test.blockers} blockers: {test.report['sentence']}"
        registry.set_campaign_account(conn, campaign.id, account, "left", reason)
    else:
        registry.set_campaign_account(conn, campaign.id, account, "performing")


def _stop_if_too_many_failed(conn: psycopg.Connection, id: int) -> None:
    campaign = registry.campaign(conn, id)
    waves: dict[int, list[registry.CampaignAccount]] = {}
    for one in registry.campaign_accounts(conn, id):
        waves.setdefault(one.wave, []).append(one)
    most = campaign.settings["most_failures_percent"]
    for number, wave in sorted(waves.items()):
        failed = [one.account for one in wave if one.state == "failed"]
        if campaign.state in ("running", "paused") and 100 * len(failed) > most * len(wave):
            why = (
                f"{len(failed)} of {len(wave)} accounts of wave {number} failed ({', '.join(failed[:5])}), "
                f"more than {most} %: see why, then start another campaign."
            )
            registry.stop_campaign(conn, id, why, "the campaign itself")
            return


def _begin_what_may(conn: psycopg.Connection, campaign: registry.Campaign) -> None:
    """The waiting accounts of the present wave, as many at a time as a server may bear."""
    accounts = registry.campaign_accounts(conn, campaign.id)
    unfinished = [one for one in accounts if one.state in ("waiting", *AT_WORK)]
    if not unfinished:
        return
    wave = min(one.wave for one in unfinished)
    busy = Counter(_server(conn, one) for one in unfinished if one.state in AT_WORK)
    for one in unfinished:
        server = _server(conn, one)
        if one.wave == wave and one.state == "waiting" and busy[server] < campaign.settings["most_per_server"]:
            busy[server] += 1
            _perform(conn, campaign, one.account)


def _server(conn: psycopg.Connection, one: registry.CampaignAccount) -> str:
    return registry.account(conn, one.account).server
