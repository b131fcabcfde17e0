"""Campaigns: a catalogue entry performed for many accounts, in waves, and what is overdue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from include.registry.accounts import COLUMNS as ACCOUNT_COLUMNS
from include.registry.accounts import Account
from include.registry.catalogue import catalogue_entry
from include.registry.database import RegistryRefused, execute, in_transaction, row, rows, value
from include.registry.events import event
from include.registry.kinds import EventKind
from include.registry.states import CampaignState

CAMPAIGN_SETTINGS = ("wave_size", "canaries", "most_per_server", "most_failures_percent", "longest_wait_seconds")
COLUMNS = "id, entry, run_id, requested_by, state, state_since, settings, why, began_at, ended_at"


@dataclass(frozen=True)
class Campaign:
    """A catalogue entry performed for many accounts, in waves.

    `settings` are those of `CAMPAIGN_SETTINGS`; `why` is why it is paused or was stopped."""

    id: int
    entry: str
    run_id: str
    requested_by: str
    state: str
    state_since: datetime
    settings: dict[str, Any]
    why: str | None
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class CampaignAccount:
    """An account of a campaign. `server` is where it lives now; `reason` is why it failed or was left; `move` and
    `test` are the newest ones of it through the campaign's entry since the campaign began."""

    campaign: int
    account: str
    server: str
    wave: int
    state: str
    state_since: datetime
    reason: str | None
    move: int | None
    test: int | None


@in_transaction
def begin_campaign(
    conn: psycopg.Connection,
    entry: str,
    run_id: str,
    requested_by: str,
    accounts: Sequence[str],
    settings: dict[str, Any],
) -> Campaign:
    """Begin a campaign of these accounts, in this order: the canaries are the first wave, and every further one has
    `wave_size`. The same `run_id` gives the same row. Refuses an unknown entry or account, no account, settings that
    are impossible, and a second campaign of an entry."""
    execute(conn, "SELECT FROM catalogue WHERE name = %(name)s FOR UPDATE", {"name": entry})
    same = row(conn, Campaign, f"SELECT {COLUMNS} FROM campaigns WHERE run_id = %(run)s", {"run": run_id})
    if same is not None:
        if same.entry != entry:
            raise RegistryRefused(f"Run {run_id} performs {same.entry}: give each campaign its own run.")
        return same
    catalogue_entry(conn, entry)
    if not accounts:
        raise RegistryRefused(f"No account is to be performed through {entry}: there is nothing to begin.")
    missing = set(CAMPAIGN_SETTINGS) - settings.keys()
    if missing:
        raise RegistryRefused(f"A campaign needs {', '.join(sorted(missing))}: give them.")
    id = value(
        conn,
        """
        INSERT INTO campaigns (entry, run_id, requested_by, state, settings)
        VALUES (%(entry)s, %(run)s, %(by)s, 'running', %(settings)s) RETURNING id
        """,
        {"entry": entry, "run": run_id, "by": requested_by, "settings": Jsonb(settings)},
    )
    execute(
        conn,
        """
        INSERT INTO campaign_accounts (campaign, account, wave, state)
        SELECT %(id)s, account,
            CASE WHEN n <= %(canaries)s THEN 1
            ELSE (n - %(canaries)s - 1) / %(size)s + CASE WHEN %(canaries)s > 0 THEN 2 ELSE 1 END END,
            'waiting'
        FROM unnest(%(accounts)s::text[]) WITH ORDINALITY AS a (account, n)
        """,
        {
            "id": id,
            "accounts": list(accounts),
            "canaries": int(settings["canaries"]),
            "size": int(settings["wave_size"]),
        },
    )
    detail = {"campaign": id, "entry": entry, "run_id": run_id, "accounts": len(accounts), **settings}
    event(conn, EventKind.CAMPAIGN_BEGAN, by=requested_by, detail=detail)
    return campaign(conn, id)


@in_transaction
def campaign(conn: psycopg.Connection, id: int) -> Campaign:
    """A campaign; refuses an unknown id."""
    record = row(conn, Campaign, f"SELECT {COLUMNS} FROM campaigns WHERE id = %(id)s", {"id": id})
    if record is None:
        raise RegistryRefused(f"There is no campaign {id}: check its id.")
    return record


@in_transaction
def list_campaigns(conn: psycopg.Connection) -> list[Campaign]:
    """Every campaign, newest first."""
    return rows(conn, Campaign, f"SELECT {COLUMNS} FROM campaigns ORDER BY id DESC")


@in_transaction
def pause_campaign(conn: psycopg.Connection, id: int, reason: str, by: str) -> Campaign:
    """Begin no further account until `resume_campaign`; what is under way goes on. Can be repeated."""
    return _steer(conn, id, CampaignState.PAUSED, reason, by)


@in_transaction
def resume_campaign(conn: psycopg.Connection, id: int, by: str) -> Campaign:
    """Go on with a paused campaign. Can be repeated."""
    return _steer(conn, id, CampaignState.RUNNING, None, by)


@in_transaction
def stop_campaign(conn: psycopg.Connection, id: int, why: str, by: str) -> Campaign:
    """End a campaign for good: accounts that wait are left, with the reason; what is under way goes on to its end.
    Can be repeated."""
    before = campaign(conn, id)
    after = _steer(conn, id, CampaignState.STOPPED, why, by)
    if before.state != after.state:
        execute(
            conn,
            """
            UPDATE campaign_accounts SET state = 'left', reason = 'The campaign was stopped: ' || %(why)s
            WHERE campaign = %(id)s AND state = 'waiting'
            """,
            {"id": id, "why": why},
        )
    return after


@in_transaction
def finish_campaign(conn: psycopg.Connection, id: int) -> Campaign:
    """Note that nothing of a campaign is left to do; one that was stopped stays so. Refuses while an account waits or
    is at work. Can be repeated."""
    record = campaign(conn, id)
    return record if record.state == CampaignState.STOPPED else _steer(conn, id, CampaignState.DONE, record.why, None)


def _steer(conn: psycopg.Connection, id: int, state: str, why: str | None, by: str | None) -> Campaign:
    execute(conn, "SELECT FROM campaigns WHERE id = %(id)s FOR UPDATE", {"id": id})
    before = campaign(conn, id)
    if before.state == state:
        return before
    if state in (CampaignState.PAUSED, CampaignState.STOPPED) and not (why or "").strip():
        raise RegistryRefused("A campaign is paused or stopped for a reason: give it.")
    params = {"id": id, "state": state, "why": why}
    execute(conn, "UPDATE campaigns SET state = %(state)s, why = %(why)s WHERE id = %(id)s", params)
    event(conn, EventKind(f"campaign.{state}"), by=by, detail={"campaign": id, "entry": before.entry, "why": why})
    return campaign(conn, id)


@in_transaction
def campaign_accounts(conn: psycopg.Connection, id: int) -> list[CampaignAccount]:
    """The accounts of a campaign, by wave and name."""
    return rows(
        conn,
        CampaignAccount,
        """
        SELECT o.campaign, o.account, a.server, o.wave, o.state, o.state_since, o.reason, m.move, t.test
        FROM campaign_accounts o JOIN campaigns c ON c.id = o.campaign JOIN accounts a ON a.name = o.account
            LEFT JOIN LATERAL (
                SELECT max(id) AS move FROM moves
                WHERE account = o.account AND entry = c.entry AND began_at >= c.began_at
            ) m ON true
            LEFT JOIN LATERAL (
                SELECT max(id) AS test FROM tests
                WHERE account = o.account AND entry = c.entry AND began_at >= c.began_at
            ) t ON true
        WHERE o.campaign = %(id)s ORDER BY o.wave, o.account
        """,
        {"id": id},
    )


@in_transaction
def set_campaign_account(
    conn: psycopg.Connection, id: int, account: str, state: str, reason: str | None = None
) -> None:
    """Bring an account of a campaign to its next state: waiting, testing, performing, done; or failed or left, with a
    reason. Refuses to begin one while the campaign is not running. Can be repeated."""
    record = campaign(conn, id)
    params = {"id": id, "account": account, "state": state, "reason": reason}
    changed = execute(
        conn,
        """
        UPDATE campaign_accounts SET state = %(state)s, reason = coalesce(%(reason)s, reason)
        WHERE campaign = %(id)s AND account = %(account)s
            AND (state, reason) IS DISTINCT FROM (%(state)s, coalesce(%(reason)s, reason))
        """,
        params,
    )
    if changed:
        detail = {"campaign": id, "entry": record.entry, "reason": reason}
        event(conn, EventKind(f"campaign.account.{state}"), account=account, detail=detail)
    elif not value(
        conn,
        "SELECT EXISTS (SELECT FROM campaign_accounts WHERE campaign = %(id)s AND account = %(account)s)",
        params,
    ):
        raise RegistryRefused(f"Account {account} is not of campaign {id}: check its name.")


@in_transaction
def accounts_before(conn: psycopg.Connection, entry: str) -> list[Account]:
    """The accounts of shared servers that still run what the entry starts from, by name."""
    wanted = catalogue_entry(conn, entry)
    return rows(
        conn,
        Account,
        f"""
        SELECT {", ".join(f"a.{column}" for column in ACCOUNT_COLUMNS.split(", "))}
        FROM accounts a
            JOIN servers lives ON lives.name = a.server AND lives.kind = 'shared'
            LEFT JOIN account_engines e ON e.account = a.name AND e.engine = %(kind)s
            JOIN servers s ON s.name = coalesce(e.server, a.server)
        WHERE a.removed_at IS NULL AND version_of(s.infrastructure, s.versions, %(kind)s) = %(version)s
        ORDER BY a.name
        """,
        {"kind": wanted.kind, "version": wanted.from_version},
    )


@in_transaction
def overdue(conn: psycopg.Connection, entry: str, on: date) -> list[Account]:
    """The accounts that a mandatory entry has to be performed for on a day: from its deadline on, those of shared
    servers that still run what it starts from. Dedicated servers and VPS are their customers' to migrate."""
    wanted = catalogue_entry(conn, entry)
    if not wanted.mandatory or wanted.deadline is None or on < wanted.deadline:
        return []
    return accounts_before(conn, entry)
