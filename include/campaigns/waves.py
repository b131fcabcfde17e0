"""The next step of a campaign: what has ended is noted, and what may begin is named.

An account is tested first if it never was, and then performed, each by a run of its own. A wave begins when every
account of the wave before has ended. A wave of which too many fail stops the campaign: what runs ends, nothing more
begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from include import registry
from include.compatibility.report import blockers
from include.registry.states import CAMPAIGN, CAMPAIGN_ACCOUNT, CampaignAccountState, CampaignState, TestState

AT_WORK = (CampaignAccountState.TESTING, CampaignAccountState.PERFORMING)
ENDED = ("success", "failed")
DAG: dict[str, str] = {CampaignAccountState.TESTING: "test_account", CampaignAccountState.PERFORMING: "migrate_account"}

RunState = Callable[[str, str], str | None]
"""The state of a run, by DAG and run id: None when there is none, "success" and "failed" when it has ended."""


@dataclass(frozen=True)
class Run:
    """A run that an account of the campaign needs now."""

    dag: str
    run_id: str
    conf: dict[str, Any] = field(compare=False)


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
    campaign = registry.campaign(conn, id)
    for account in registry.campaign_accounts(conn, id):
        if account.state in AT_WORK:
            _note_end(conn, campaign, account, state_of)
    if campaign.state not in CAMPAIGN.ended and (why := too_many_failed(conn, campaign)):
        registry.stop_campaign(conn, id, why, "the campaign itself")
    _begin_what_may(conn, id)
    accounts = registry.campaign_accounts(conn, id)
    # Those that wait are left when a campaign is stopped, so none does then.
    ended = all(account.state in CAMPAIGN_ACCOUNT.ended for account in accounts)
    if ended:
        registry.finish_campaign(conn, id)
    runs = [_run(campaign, account) for account in accounts if account.state in AT_WORK]
    states = {run: state_of(run.dag, run.run_id) for run in runs}
    return Step(
        registry.campaign(conn, id).state,
        begin=[run for run in runs if states[run] is None],
        under_way=[run for run in runs if states[run] not in ENDED],
        ended=ended,
    )


def _run(campaign: registry.Campaign, account: registry.CampaignAccount) -> Run:
    """The run that an account at work needs: its id is always the same, so that it is begun once."""
    conf = {"account": account.account, "entry": campaign.entry, "requested_by": f"campaign {campaign.id}"}
    if account.state == CampaignAccountState.PERFORMING:
        conf["longest_wait_seconds"] = campaign.settings["longest_wait_seconds"]
    return Run(DAG[account.state], f"campaign-{campaign.id}-{account.state}-{account.account}", conf)


def _note_end(
    conn: psycopg.Connection, campaign: registry.Campaign, account: registry.CampaignAccount, state_of: RunState
) -> None:
    """Where the account is once its run has ended."""
    run = _run(campaign, account)
    state = state_of(run.dag, run.run_id)
    if state == "success" and account.state == CampaignAccountState.PERFORMING:
        registry.set_campaign_account(conn, campaign.id, account.account, CampaignAccountState.DONE)
    elif state == "success" and registry.latest_test_of(conn, account.account, campaign.entry) is not None:
        if campaign.state == CampaignState.RUNNING:
            _go_on(conn, campaign, account.account)
        elif campaign.state == CampaignState.STOPPED:
            registry.set_campaign_account(
                conn,
                campaign.id,
                account.account,
                CampaignAccountState.LEFT,
                f"The campaign was stopped: {campaign.why}",
            )
    elif state in ENDED:
        why = registry.why_run_failed(conn, run.run_id, account.account) or f"See the run {run.run_id} of {run.dag}."
        registry.set_campaign_account(conn, campaign.id, account.account, CampaignAccountState.FAILED, why)


def _go_on(conn: psycopg.Connection, campaign: registry.Campaign, account: str) -> None:
    """What an account needs next: its test; or its move, unless its test found a blocker. That is its customer's to
    mend, and no failure."""
    test = registry.latest_test_of(conn, account, campaign.entry)
    if test is None:
        registry.set_campaign_account(conn, campaign.id, account, CampaignAccountState.TESTING)
    elif test.blockers:
        report = registry.certain(test.report)
        reason = f"{report['sentence']} {' '.join(blockers(report)[:3])}"
        registry.set_campaign_account(conn, campaign.id, account, CampaignAccountState.LEFT, reason)
    else:
        registry.set_campaign_account(conn, campaign.id, account, CampaignAccountState.PERFORMING)


def require_well(conn: psycopg.Connection, campaign: int) -> None:
    """Refused when the campaign stopped by itself, so that somebody looks."""
    if why := too_many_failed(conn, registry.campaign(conn, campaign)):
        raise registry.RegistryRefused(why)


def too_many_failed(conn: psycopg.Connection, campaign: registry.Campaign) -> str | None:
    """Why the campaign may not go on: too much of a wave has failed. None when it may."""
    waves: dict[int, list[registry.CampaignAccount]] = {}
    for account in registry.campaign_accounts(conn, campaign.id):
        waves.setdefault(account.wave, []).append(account)
    most = campaign.settings["most_failures_percent"]
    for number, wave in waves.items():
        failed = [account.account for account in wave if account.state == CampaignAccountState.FAILED]
        if 100 * len(failed) > most * len(wave):
            return (
                f"{len(failed)} of {len(wave)} accounts of wave {number} failed ({', '.join(failed[:5])}), "
                f"more than {most} %: see why, then start another campaign."
            )
    return None


def _begin_what_may(conn: psycopg.Connection, id: int) -> None:
    """The waiting accounts of the present wave, as many at a time as a server may bear: so many tests, and so many
    moves beside them. One that its customer has performed meanwhile is done; one that somebody else has in hand waits.
    """
    campaign = registry.campaign(conn, id)
    accounts = registry.campaign_accounts(conn, id)
    unfinished = [account for account in accounts if account.state not in CAMPAIGN_ACCOUNT.ended]
    if campaign.state != CampaignState.RUNNING or not unfinished:
        return
    old = {account.name for account in registry.accounts_before(conn, campaign.entry)}
    wave = min(account.wave for account in unfinished)
    most = campaign.settings["most_per_server"]
    at_work = Counter((account.server, account.state) for account in unfinished if account.state in AT_WORK)
    for account in unfinished:
        if account.wave != wave or account.state != CampaignAccountState.WAITING:
            continue
        if account.account not in old:
            registry.set_campaign_account(
                conn, id, account.account, CampaignAccountState.DONE, "Its customer was first."
            )
            continue
        tested = registry.latest_test_of(conn, account.account, campaign.entry) is not None
        work = (account.server, CampaignAccountState.PERFORMING if tested else CampaignAccountState.TESTING)
        if at_work[work] < most and _all(at_work, account.server) < 2 * most and not in_hand(conn, account.account):
            at_work[work] += 1
            _go_on(conn, campaign, account.account)


def _all(at_work: Counter[tuple[str, str]], server: str) -> int:
    return sum(at_work[server, state] for state in AT_WORK)


def in_hand(conn: psycopg.Connection, account: str) -> bool:
    """Whether a run of somebody else is at work on the account."""
    test = registry.live_test_of(conn, account)
    return registry.live_move_of(conn, account) is not None or (
        test is not None and test.state in (TestState.PREPARING, TestState.COPYING)
    )
