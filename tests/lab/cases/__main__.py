"""`python -m tests.lab.cases 01 34 l7`: move cases between two kept scratch servers, and say what became of each."""

from __future__ import annotations

import argparse
import os
import sys
import time

from benchmarks.stage import enter
from lab import servers, state, topology
from tests.lab.agents import Side, side
from tests.lab.cases.case import Case, find, numbers
from tests.lab.cases.run import Outcome, World
from tests.lab.handles import Lab, Running


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.cases", description=__doc__)
    parser.add_argument("cases", nargs="*", help="numbers of inputs; all when none is given")
    parser.add_argument("--servers", nargs=2, default=["scratch-31", "scratch-32"], metavar=("OLD", "NEW"))
    parser.add_argument("--infrastructures", nargs=2, default=["2022", "2026"], metavar=("OLD", "NEW"))
    parser.add_argument("--together", action="store_true", help="all in one account and one move")
    given = parser.parse_args()
    chosen = [find(number) for number in given.cases or numbers(".sql", ".sh")]
    old, new = _sides(given.servers, given.infrastructures)
    wrong = 0
    for group in [chosen] if given.together else [[case] for case in chosen]:
        wrong += _one(old, new, group)
    return 1 if wrong else 0


def _sides(names: list[str], infrastructures: list[str]) -> list[Side]:
    """The two servers, installed if they are not, with this checkout's agent."""
    installed = [servers.install(name, how) for name, how in zip(names, infrastructures, strict=True)]
    enter(f"/run/netns/{topology.OPS}")
    lab = Lab(False, "")
    return [side(lab, Running(topology.server(name), how)) for name, how in zip(names, installed, strict=True)]


def _one(old: Side, new: Side, group: list[Case]) -> int:
    """Run some cases in one move and print their lines; how many are not right."""
    world = World(old, new, group)
    try:
        world.fill()
    except AssertionError as error:
        print(f"{'+'.join(case.number for case in group)} could not be filled: {error}", flush=True)
        return len(group)
    outcome = world.move(f"case-{os.getpid()}-{int(time.time() * 1000)}")
    for case in group:
        print(_line(case, outcome), flush=True)
    for sentence in outcome.left:
        print(f"    left: {sentence}")
    for sentence in outcome.apart:
        print(f"    APART: {sentence}")
    return len(group) if outcome.refused else sum(outcome.changed(case) for case in group)


def _line(case: Case, outcome: Outcome) -> str:
    if outcome.refused:
        return f"{case.number} refused: {outcome.refused}\n    right: {case.right}"
    if outcome.changed(case):
        before, after = outcome.before.get(case.number, case.expect), outcome.after[case.number]
        return f"{case.number} moved, CHANGED: {before!r} -> {after!r}\n    right: {case.right}"
    return f"{case.number} moved, the same: {outcome.after[case.number]!r:.200} (expected {case.expect!r:.200})"


if __name__ == "__main__":
    state.prepare()
    sys.exit(main())
