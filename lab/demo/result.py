"""What the demo proved: reports/demo.json, a table, and every sentence that says what was not proven."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from include import registry
from include.billing import Entry
from include.catalogue import infrastructures
from include.moves import proof
from lab import airflow
from lab.demo.run import moment, seconds
from lab.demo.stage import registry_connection
from lab.visitors import crowd, summary

MARGIN = 1.0
"""Seconds before and after a reroute that belong to it."""
REROUTES = ("reroute_ips_to_transit", "reroute_ips_home")
QUIET = "quiet"
WHOLE = "whole run"
OF_ANY_LENGTH = ("account", "ip", "server", "transit", "reason")
"""Columns whose texts go on in the next line where a terminal is too narrow."""


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
    migration: int
    lives_on: dict[str, str]
    """account -> server, by the registry."""


def of_migration(
    run_id: str,
    *,
    versions_before: dict[str, str],
    ips: list[str],
    setup: list[tuple[str, float]],
    quiet: tuple[float, float],
    span: tuple[float, float],
    wall_s: float,
) -> Run:
    """What the registry, Airflow and the visitors know of the migration of this run."""
    with registry_connection() as conn:
        migration = next(migration for migration in registry.list_migrations(conn) if migration.run_id == run_id)
        return Run(
            server=migration.server,
            versions_before=versions_before,
            versions_after=registry.server(conn, migration.server).versions,
            moves=registry.moves_of(conn, migration.id),
            ips=ips,
            tasks=airflow.tasks("migrate_server", run_id),
            setup=setup,
            events=list(summary.events(crowd.logs())),
            quiet=quiet,
            span=span,
            wall_s=wall_s,
            from_infrastructure=migration.from_infrastructure,
            to_infrastructure=migration.to_infrastructure,
            migration=migration.id,
            lives_on={account.name: account.server for account in registry.accounts_of(conn, migration.server)},
        )


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
) -> list[str]:
    """One sentence for each thing that the run did not prove; empty if all is well. `check` is the visitors' final
    check."""
    sentences = []
    declared = infrastructures.load()[run.to_infrastructure]
    for unlike in declared.unlike(run.versions_after.get("debian", ""), run.versions_after):
        sentences.append(f"{run.server} runs {unlike}.")
    for account in accounts:
        if run.lives_on.get(account) != run.server:
            sentences.append(f"{account} lives on {run.lives_on.get(account, 'no server')}, not on {run.server}.")
        for direction in ("out", "home"):
            rows = [
                row
                for row in made["accounts"]
                if row["account"] == account and row["direction"] == direction and row["verified"] != "NO"
            ]
            if not rows:
                sentences.append(f"{account}: no verified move {direction}.")
        seen = summary.visits(run.events, account, *run.span)
        if not seen.requests:
            sentences.append(f"{account}: nobody visited it.")
        if seen.failed:
            sentences.append(f"{account}: {seen.failed} of {seen.requests} requests failed.")
        visitors = check.get(account, {})
        if not visitors.get("written"):
            sentences.append(f"{account}: the visitors wrote nothing.")
        for key, word in (
            ("lost", "acknowledged writes are lost"),
            ("missing", "accepted messages are missing"),
            ("twice", "messages are there twice"),
        ):
            if visitors.get(key):
                sentences.append(f"{account}: {len(visitors[key])} {word}, such as {visitors[key][0]}.")
    for row in made["ips"]:
        if row["step"] == WHOLE and not row["probes"]:
            sentences.append(f"{row['ip']} was never probed.")
        elif row["step"] in (*REROUTES, WHOLE) and row["lost"]:
            sentences.append(f"{row['ip']}: {row['lost']} of {row['probes']} probes lost ({row['step']}).")
    missing = set(REROUTES) - {row["step"] for row in made["ips"]}
    sentences += [f"The step {step} was not seen." for step in sorted(missing)]
    return sentences


def write(made: dict[str, Any], path: Path) -> None:
    """Writes the report whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(made, indent=1) + "\n")
    fresh.rename(path)


def show(made: dict[str, Any], check: dict[str, dict[str, Any]], console: Console) -> None:
    """The tables that a person reads, in a terminal of 80 columns as well."""
    before, after = made["versions"]["before"], made["versions"]["after"]
    versions = [(program, before.get(program, ""), after.get(program, "")) for program in sorted({*before, *after})]
    title = f"{made['server']}: infrastructure {made['from']} -> {made['to']}"
    console.print(_table(title, ("version of", "before", "after"), (), versions))

    names, accounts = ("account", "direction"), made["accounts"]
    seen = ("requests", "failed", "longest wait ms", "p99 ms", "writes lost")
    title = "Every account, out and home, as its visitors saw it"
    console.print(_table(title, names, seen, _picked(accounts, (*names, *seen))))
    compared = ("files", "tables", "rows", "messages")
    title = "What was compared on both servers before each move was committed"
    columns = (*names, *compared, "verified")
    console.print(_table(title, names, (*compared, "verified"), _picked(accounts, columns)))
    for row in accounts:
        for sentence in row["left"]:
            console.print(f"{row['account']} {row['direction']}, not carried: {sentence}", markup=False)

    where, probed = ("ip", "step"), ("probes", "lost", "longest gap ms")
    rows = _picked(made["ips"], (*where, *probed))
    console.print(_table("IPs, probed from the visitor host", where, probed, rows))

    figures = ("writes acknowledged", "lost", "messages accepted", "missing", "twice")
    rows_of_accounts = [
        (
            account,
            visitors["written"],
            len(visitors["lost"]),
            visitors["sent"],
            len(visitors["missing"]),
            len(visitors["twice"]),
        )
        for account, visitors in check.items()
    ]
    console.print(_table("What visitors wrote, looked for at the end", ("account",), figures, rows_of_accounts))


def show_ledger(entries: Iterable[Entry], console: Console) -> None:
    """What the customer was billed for the transit, entry by entry."""
    rows = [
        (
            str(entry.id),
            entry.server,
            entry.transit,
            entry.day,
            entry.kind,
            entry.reason or "",
            f"{entry.amount:,} {entry.currency}",
        )
        for entry in entries
    ]
    title = "The ledger: billed with the clock moved, taken back when all had left in time"
    texts = ("id", "server", "transit", "day", "kind", "reason")
    console.print(_table(title, texts, ("amount",), rows))


def _table(title: str, texts: Iterable[str], figures: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    """Texts to the left, figures to the right; nothing is cut off in a terminal of 80 columns."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in texts:
        table.add_column(head, no_wrap=head not in OF_ANY_LENGTH, min_width=len(head), overflow="fold")
    for head in figures:
        # Its first word stands above the rest: a heading is no wider than the figures below it.
        table.add_column(head.replace(" ", "\n", 1), justify="right", no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _picked(rows: Iterable[dict[str, Any]], heads: Iterable[str]) -> list[list[Any]]:
    return [[row[head.replace(" ", "_")] for head in heads] for row in rows]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, int | float):
        return f"{value:,}"
    return str(value)
