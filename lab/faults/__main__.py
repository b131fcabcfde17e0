"""`make faults`: moves of each kind are broken into by each fault, at each step and at random moments.

Prints a table of what was tried and how it ended, writes reports/faults.json, and ends with 1 if anything ended wrong.
A run of a DAG is Airflow's own, in a process of its own, without a scheduler: what a scheduler or a person would begin
again is begun again here. What Airflow's own programs do when they are killed is in tests/lab/test_failures.py.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.stage import enter
from lab import __main__ as lab_cli
from lab import scratch, servers, state, topology
from lab.faults import orchestrator, stage
from lab.faults.injections import FAULTS
from lab.faults.stage import Pair
from lab.faults.trial import STEPS, Outcome, Trial
from lab.say import say

USUAL_SECONDS = 11.0
"""Random moments lie between a run's beginning and this: most moves have not ended by then."""


class Attempt(NamedTuple):
    """What is to be tried on a kind of move."""

    kind: str
    fault: str
    moment: str | float


def plan(kinds: list[str], faults: list[str], steps: bool, moments: int, seed: int) -> list[Attempt]:
    """Every fault at every step of every kind, and so many random ones of all."""
    chosen = random.Random(seed)
    attempts = [Attempt(kind, fault, step) for kind in kinds for fault in faults for step in STEPS] if steps else []
    for number in range(moments):
        kind = kinds[number % len(kinds)]
        attempts.append(Attempt(kind, chosen.choice(faults), chosen.uniform(0.3, USUAL_SECONDS)))
    return attempts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.faults", description=__doc__)
    parser.add_argument("--kinds", default="out,home,over,engine", help="of moves, with commas")
    parser.add_argument("--random", type=int, default=200, help="so many random moments")
    parser.add_argument("--steps", action="store_true", help="each fault at each step as well")
    parser.add_argument("--pairs", type=int, default=os.cpu_count() or 1, help="pairs of servers of each kind")
    parser.add_argument("--faults", default=",".join(FAULTS), help="what breaks, with commas")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, default=Path("reports/faults.json"))
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    if "home" in kinds and "out" not in kinds:
        kinds.insert(0, "out")  # who comes home has gone out
    if not lab_cli.status():
        lab_cli.up(first=None)
    began = time.monotonic()
    outcomes = _tried(plan(kinds, given.faults.split(","), given.steps, given.random, given.seed), given.pairs)
    given.report.parent.mkdir(exist_ok=True)
    given.report.write_text(
        json.dumps({"seed": given.seed, "outcomes": [asdict(outcome) for outcome in outcomes]}, indent=1)
    )
    print(table(outcomes))
    wrong = [outcome for outcome in outcomes if not outcome.right]
    print(f"{len(outcomes)} tried in {time.monotonic() - began:.0f} s, {len(outcomes) - len(wrong)} ended right")
    for outcome in wrong:
        print(f"{outcome.kind}, {outcome.fault}, {outcome.moment}: {' '.join(outcome.wrong)}")
    return 1 if wrong else 0


def _tried(attempts: list[Attempt], pairs: int) -> list[Outcome]:
    """Everything that was planned, on so many pairs of servers of each kind at a time."""
    orchestrator.set_environment()
    orchestrator.make_databases()
    stage.write_registry()
    enter(f"/run/netns/{topology.OPS}")
    orchestrator.load()
    shares = list(_shares(attempts, pairs))
    outcomes: list[Outcome] = []
    printing = threading.Lock()

    def work(place: tuple[list[Attempt], str, str]) -> None:
        enter(f"/run/netns/{topology.OPS}")
        share, source, target = place
        for outcome in _on_one_pair(share, source, target):
            with printing:
                outcomes.append(outcome)
                verdict = "right" if outcome.right else f"WRONG: {' '.join(outcome.wrong)}"
                say(f"{len(outcomes):3} {outcome.kind}, {outcome.fault}, {outcome.moment}: {verdict}")

    with scratch.claimed(2 * len(shares)) as taken:
        names = iter([server.name for server in taken])
        try:
            with ThreadPoolExecutor(len(shares)) as pool:
                list(pool.map(work, zip(shares, names, names, strict=False)))
        finally:
            for server in taken:
                servers.machines().wipe(server.spec)
    return outcomes


def _shares(attempts: list[Attempt], pairs: int) -> Iterator[list[Attempt]]:
    """The attempts of each pair of servers; those out and home share theirs."""
    for kinds in (("out", "home"), ("over",), ("engine",)):
        mine = [attempt for attempt in attempts if attempt.kind in kinds]
        for number in range(min(pairs, len(mine))):
            yield mine[number::pairs]


def _on_one_pair(share: list[Attempt], source: str, target: str) -> Iterator[Outcome]:
    """One attempt after the other: each account is moved once in a kind."""
    by_kind = {
        kind: [attempt for attempt in share if attempt.kind == kind] for kind in ("out", "home", "over", "engine")
    }
    kind = "vps" if by_kind["out"] or by_kind["home"] else share[0].kind
    pair = stage.make_pair(kind, source, target)
    stage.create_accounts(pair, max(len(each) for each in by_kind.values()))
    if kind == "vps":
        stage.hand_over(pair)
    accounts = list(pair.accounts)
    for direction, attempts in by_kind.items():
        if direction == "home" and attempts:
            # Who was not moved out by an attempt goes now.
            for account in accounts[len(by_kind["out"]) :]:
                Trial(pair, "out", account).broken_by(None, 0.1)
            stage.bring_home(pair, accounts)
        for account, attempt in zip(accounts, attempts, strict=False):
            yield _outcome_of(pair, direction, account, attempt)


def _outcome_of(pair: Pair, way: str, account: str, attempt: Attempt) -> Outcome:
    try:
        return Trial(pair, way, account).broken_by(FAULTS[attempt.fault], attempt.moment)
    except Exception as error:  # whatever went wrong, the others are tried
        moment = attempt.moment if isinstance(attempt.moment, str) else f"{attempt.moment:.1f} s"
        return Outcome(way, attempt.fault, moment, [f"not tried to its end: {error!r:.300}"], 0, 0, 0, 0, 0, 0)


def table(outcomes: list[Outcome]) -> str:
    """A row a kind of move and fault."""
    columns = f"{'tried':>6}{'right':>6}{'asked':>7}{'failed':>7}{'lost':>5}{'median s':>9}{'worst s':>8}"
    lines = [f"{'move':7}{'fault':24}{columns}"]
    for kind in ("out", "home", "over", "engine"):
        for fault in FAULTS:
            mine = [outcome for outcome in outcomes if (outcome.kind, outcome.fault) == (kind, fault)]
            if not mine:
                continue
            right, asked, failed, lost = (
                sum(getattr(outcome, name) for outcome in mine) for name in ("right", "asked", "failed", "lost")
            )
            seconds = [outcome.seconds for outcome in mine]
            lines.append(
                f"{kind:7}{fault:24}{len(mine):6}{right:6}{asked:7}{failed:7}{lost:5}"
                f"{median(seconds):9.1f}{max(seconds):8.1f}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    state.prepare()
    sys.exit(main())
