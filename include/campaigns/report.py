"""The report of a campaign: one JSON file that says how each account fared, and why it is where it is."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg

from include import registry, report_files
from include.moves import proof
from include.registry.kinds import EventKind

log = logging.getLogger(__name__)


def gather(conn: psycopg.Connection, id: int) -> dict[str, Any]:
    """The campaign, and a row for each account: where it lives now, its state and the reason, its test, its hold."""
    campaign = registry.campaign(conn, id)
    accounts = [_account(conn, campaign, account) for account in registry.campaign_accounts(conn, id)]
    return {
        "campaign": asdict(campaign),
        "counts": dict(Counter(account["state"] for account in accounts)),
        "accounts": accounts,
    }


def _account(
    conn: psycopg.Connection, campaign: registry.Campaign, account: registry.CampaignAccount
) -> dict[str, Any]:
    test = registry.latest_test_of(conn, account.account, campaign.entry)
    move = registry.move(conn, account.move) if account.move is not None else None
    figures = move.figures if move is not None else registry.Figures()
    proven = proof.of(figures)
    return {
        "account": account.account,
        "wave": account.wave,
        "state": account.state,
        "reason": account.reason,
        "lives_on": account.server,
        "test": test and {"id": test.id, "blockers": test.blockers, "warnings": test.warnings},
        "move": account.move,
        "held_ms": figures.switch.held_ms,
        "verified": {**proven.counts, "equal": proven.equal, "complete": proven.verified},
        "left": proven.left,
    }


def summary(report: dict[str, Any]) -> str:
    """The report's part for people, as lines."""
    counts = ", ".join(f"{number} {state}" for state, number in sorted(report["counts"].items()))
    lines = [f"{report['campaign']['entry']}: {counts or 'no account'}."]
    lines += [
        f"{account['account']}: {account['state']}. {account['reason']}"
        for account in report["accounts"]
        if account["reason"]
    ]
    lines += [
        f"{account['account']}: not carried: {sentence}"
        for account in report["accounts"]
        for sentence in account["left"]
    ]
    return "\n".join(lines)


def write(conn: psycopg.Connection, id: int, folder: Path) -> Path:
    """Writes the report to `folder`, its part for people to the log, and notes that in the event log; gives the file.
    A repeated call replaces it."""
    report = gather(conn, id)
    path = report_files.put(folder, f"campaign-{id}.json", json.dumps(report, indent=1, default=str) + "\n")
    registry.event(
        conn, EventKind.REPORT_WRITTEN, detail={"campaign": id, "file": path.name, "counts": report["counts"]}
    )
    log.info("\n%s", summary(report))
    return path
