"""Whatever changes in an account's MariaDB databases between the copy and the hold is the same on the new server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.agents import side
from tests.lab.cases.case import read
from tests.lab.cases.run import Outcome, World

CHANGES = [read(path) for path in sorted((Path(__file__).parent / "cases" / "changes").glob("m*.sql"))]


@pytest.fixture(scope="module")
def outcome(lab) -> Iterator[Outcome]:
    """All changes in one account and one move."""
    with lab.fresh("2022", "2026") as (old, new):
        world = World(side(lab, old), side(lab, new), CHANGES)
        world.fill()
        yield world.move("changes-1")


def test_the_account_moves(outcome: Outcome) -> None:
    assert outcome.refused is None
    assert outcome.moved["verified"]["equal"]


@pytest.mark.parametrize("number", [case.number for case in CHANGES])
def test_a_change_is_there(outcome: Outcome, number: str) -> None:
    assert "ERROR" not in outcome.before[number]
    assert outcome.after[number] == outcome.before[number]
