"""The inputs of public bug reports move, each with the right answer on the new server, or say what stands in their way.

Those of one engine share an account and a move; those of files are an account each, as they fill its home.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.agents import Side, side
from tests.lab.cases.case import Case, find, numbers
from tests.lab.cases.run import Outcome, World

BY_HAND = {
    "25": "12,000 tables take minutes",
    "27": "PostGIS is not on the lab's servers",
    "81": "it is of a zone, not of a server: tests/dags",
    "89": "a value of 600 MB takes 3 GB of memory",
    "93": "its servers run without a binary log: tests/lab/test_mariadb_follow.py",
}
"""What this module does not move, with the reason; `python -m tests.lab.cases NUMBER` tries one."""
REFUSED: dict[str, str] = {}
"""What cannot move, with what is said of it."""
ANOTHER: dict[str, str] = {}
"""What is another answer on the new server, rightly, with what the report says instead."""
TOLD: dict[str, str] = {
    "36": "view acct36_db.leftover is broken",
    "l6": "view acctl6_db.seen runs as root@localhost here",
    "l7": "the global privilege FILE is not carried",
}
"""What is not carried, and told: a part of the sentence."""
APART: dict[str, str] = {}
"""What other code finds different of a case, rightly: a pattern of its sentences."""


def of(engine: str) -> list[Case]:
    cases = [find(number) for number in numbers(".sql", ".sh") if number not in BY_HAND]
    return [case for case in cases if case.engine == engine and case.number not in REFUSED]


@pytest.fixture(scope="module")
def sides(lab) -> Iterator[tuple[Side, Side]]:
    with lab.fresh("2022", "2026") as servers:
        old, new = servers
        yield side(lab, old), side(lab, new)


@pytest.fixture(scope="module")
def outcomes(sides) -> dict[str, Outcome]:
    """What became of each case."""
    found: dict[str, Outcome] = {}
    groups = [of("postgres"), of("mariadb"), *([case] for case in of("files"))]
    for number, group in enumerate(groups):
        world = World(*sides, group)
        world.fill()
        outcome = world.move(f"cases-{number}")
        found |= dict.fromkeys((case.number for case in group), outcome)
    return found


ALL = [case for engine in ("postgres", "mariadb", "files") for case in of(engine)]


@pytest.mark.parametrize("case", ALL, ids=[f"{case.number} {case.title[:50]}" for case in ALL])
def test_it_moves_right(outcomes, case: Case) -> None:
    outcome = outcomes[case.number]
    assert outcome.refused is None
    after = outcome.after[case.number]
    if case.number in ANOTHER:
        assert after == ANOTHER[case.number]
    else:
        assert after == outcome.before.get(case.number, case.expect)
    if case.number in TOLD:
        assert any(TOLD[case.number] in sentence for sentence in outcome.left), outcome.left
    mine = [one for one in outcome.apart if re.search(rf"\b{case.login}\b|\b{case.login}_", one)]
    wrong = [one for one in mine if case.number not in APART or not re.search(APART[case.number], one)]
    assert wrong == []


@pytest.mark.parametrize("number", REFUSED)
def test_what_cannot_move_is_told_by_the_test(sides, number: str) -> None:
    world = World(*sides, [find(number)])
    world.fill()
    outcome = world.move(f"refused-{number}")
    assert outcome.refused is not None and REFUSED[number] in outcome.refused.message
