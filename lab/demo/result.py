"""What the demo proved: reports/demo.json, a table, and every sentence that says what was not proven."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from include import registry
from include.billing import Entry
from include.catalogue import infrastructures
from include.moves import proof
from lab.demo.run import moment, seconds
from lab.visitors import summary

MARGIN = 1.0
"""Seconds before and after a reroute that belong to it."""
REROUTES = ("reroute_ips_to_transit", "reroute_ips_home")
QUIET = "quiet"
WHOLE = "whole run"


@dataclass(frozen=True)
class Run:
    """Everything the report is made of. Times are Unix seconds."""

    server: str
    versions_before: dict[str, str]
    versions_after: dict[str, str]
    moves: list[registry.Move]
    ips: list[str]
    tasks: list[dict[str, Any]]
    setup: list[tuple[str, float]]
    events: list[dict[str, Any]]
    quiet: tuple[float, float]
    span: tuple[float, float]
    wall_s: float
    from_infrastructure: str
    to_infrastructure: str


def report(run: Run, check: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The content of reports/demo.json. `check` is the visitors' final check."""
    return {
        "server": run.server,
        "from": run.from_infrastructure,
        "to": run.to_infrastructure,
        "versions": {"before": run.versions_before, "after": run.versions_after},
        "accounts": [_account(run, move, check) for move in run.moves if move.state == "done"],
        "ips": [
            {
                "ip": ip,
                "step": step,
                "probes": seen.probes,
                "lost": seen.lost,
                "longest_gap_ms": seen.longest_gap_ms,
            }
            for step, begin, end in _spans(run)
            for ip in run.ips
            for seen in [summary.probes(run.events, ip, begin, end)]
        ],
        "steps": [{"name": name, "seconds": round(took, 2)} for name, took in _steps(run)],
        "wall_s": round(run.wall_s, 1),
    }


def _account(run: Run, move: registry.Move, check: dict[str, dict[str, Any]]) -> dict[str, Any]:
    begin, end = move.began_at.timestamp(), (move.ended_at or move.state_since).timestamp()
    seen = summary.visits(run.events, move.account, begin, end)
    during = (event for event in run.events if begin <= event["t"] <= end)
    lost = summary.acknowledged(during, move.account) & {*check.get(move.account, {}).get("lost", [])}
    proven = proof.of(move.figures)
    return {
        "account": move.account,
        "direction": move.direction,
        "requests": seen.requests,
        "failed": seen.failed,
        "longest_wait_ms": seen.longest_wait_ms,
        "p99_ms": seen.p99_ms,
        "writes_lost": len(lost),
        **proven.counts,
        "verified": proven.word,
        "left": proven.left,
    }


def _spans(run: Run) -> Iterable[tuple[str, float, float]]:
    yield QUIET, *run.quiet
    for task in run.tasks:
        if task["task_id"] in REROUTES and task["end_date"]:
            begin, end = (moment(task[key]).timestamp() for key in ("start_date", "end_date"))
            yield task["task_id"], begin - MARGIN, end + MARGIN
    yield WHOLE, *run.span


def _steps(run: Run) -> Iterable[tuple[str, float]]:
    yield from run.setup
    for task in sorted(run.tasks, key=lambda task: task["start_date"] or "~"):
        yield task["task_id"], seconds(task)


def unproven(
    made: dict[str, Any],
    run: Run,
    accounts: Iterable[str],
    check: dict[str, dict[str, Any]],
    lives_on: dict[str, str],
) -> list[str]:
    """One sentence for each thing that the run did not prove; empty if all is well.

    `check` is the visitors' final check, `lives_on` account -> server by the registry.
    """
    found = []
    declared = infrastructures.load()[run.to_infrastructure]
    for unlike in declared.unlike(run.versions_after.get("debian", ""), run.versions_after):
        found.append(f"{run.server} runs {unlike}.")
    for account in accounts:
        if lives_on.get(account) != run.server:
            found.append(f"{account} lives on {lives_on.get(account, 'no server')}, not on {run.server}.")
        for direction in ("out", "home"):
            rows = [
                row
                for row in made["accounts"]
                if row["account"] == account and row["direction"] == direction and row["verified"] != "NO"
            ]
            if not rows:
                found.append(f"{account}: no verified move {direction}.")
        seen = summary.visits(run.events, account, *run.span)
        if not seen.requests:
            found.append(f"{account}: nobody visited it.")
        if seen.failed:
            found.append(f"{account}: {seen.failed} of {seen.requests} requests failed.")
        told = check.get(account, {})
        if not told.get("written"):
            found.append(f"{account}: the visitors wrote nothing.")
        for what, word in (
            ("lost", "acknowledged writes are lost"),
            ("missing", "accepted messages are missing"),
            ("twice", "messages are there twice"),
        ):
            if told.get(what):
                found.append(f"{account}: {len(told[what])} {word}, such as {told[what][0]}.")
    for row in made["ips"]:
        if row["step"] == WHOLE and not row["probes"]:
            found.append(f"{row['ip']} was never probed.")
        elif row["step"] in (*REROUTES, WHOLE) and row["lost"]:
            found.append(f"{row['ip']}: {row['lost']} of {row['probes']} probes lost ({row['step']}).")
    missing = set(REROUTES) - {row["step"] for row in made["ips"]}
    found += [f"The step {step} was not seen." for step in sorted(missing)]
    return found


def write(made: dict[str, Any], path: Path) -> None:
    """Writes the report whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(made, indent=1) + "\n")
    fresh.rename(path)


def show(made: dict[str, Any], check: dict[str, dict[str, Any]], console: Console) -> None:
    """The tables that a person reads."""
    before, after = made["versions"]["before"], made["versions"]["after"]
    table = Table(title=f"{made['server']}: infrastructure {made['from']} -> {made['to']}")
    for column in ("", "before", "after"):
        table.add_column(column)
    for what in sorted({*before, *after}):
        table.add_row(what, str(before.get(what, "")), str(after.get(what, "")))
    console.print(table)

    table = Table(title="Every account, out and home, as its visitors saw it")
    heads = "account direction requests failed longest_wait_ms p99_ms writes_lost".split()
    heads += "files tables rows messages verified".split()
    for head in heads:
        text = head in ("account", "direction", "verified")
        table.add_column(head.replace("_", " "), justify="left" if text else "right")
    for row in made["accounts"]:
        table.add_row(*(_cell(row[head]) for head in heads))
    console.print(table)
    for row in made["accounts"]:
        for sentence in row["left"]:
            console.print(f"{row['account']} {row['direction']}, not carried: {sentence}", markup=False)

    table = Table(title="IPs, probed from the visitor host")
    for head in ("ip", "step", "probes", "lost", "longest gap ms"):
        table.add_column(head, justify="left" if head in ("ip", "step") else "right")
    for row in made["ips"]:
        table.add_row(*(_cell(row[key]) for key in ("ip", "step", "probes", "lost", "longest_gap_ms")))
    console.print(table)

    table = Table(title="What visitors wrote, looked for at the end")
    for head in ("account", "writes acknowledged", "lost", "messages accepted", "missing", "twice"):
        table.add_column(head, justify="left" if head == "account" else "right")
    for account, told in check.items():
        figures = (told["written"], len(told["lost"]), told["sent"], len(told["missing"]), len(told["twice"]))
        table.add_row(account, *map(_cell, figures))
    console.print(table)


def show_ledger(entries: Iterable[Entry], console: Console) -> None:
    """What the customer was billed for the transit, entry by entry."""
    table = Table(title="The ledger: billed with the clock moved, taken back when all had left in time")
    for head in ("id", "server", "transit", "day", "kind", "amount", "currency", "reason"):
        table.add_column(head, justify="right" if head in ("id", "amount") else "left")
    for entry in entries:
        cells = (entry.id, entry.server, entry.transit, entry.day, entry.kind, entry.amount, entry.currency)
        table.add_row(*map(str, cells), entry.reason or "")
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, int | float):
        return f"{value:,}"
    return str(value)
