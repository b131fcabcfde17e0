"""What a customer of MariaDB has made is there after a move, as it was; inputs of public reports, in one move."""

from collections.abc import Iterator

import pytest

from tests.lab.agents import side
from tests.lab.cases.case import find
from tests.lab.cases.run import Outcome, World

NUMBERS = ["l1", "l2", "l6", "l8", "31", "34", "35", "36", "37", "38", "39", "40", "48", "56", "58", "m1", "m2", "m3"]


@pytest.fixture(scope="module")
def outcome(lab) -> Iterator[Outcome]:
    """All of them, moved."""
    with lab.fresh("2022", "2026") as machines:
        old, new = (side(lab, machine) for machine in machines)
        world = World(old, new, [find(number) for number in NUMBERS])
        world.fill()
        yield world.move("cases-1")


def test_they_move(outcome: Outcome) -> None:
    assert outcome.refused is None


@pytest.mark.parametrize("number", NUMBERS)
def test_it_is_as_it_was(outcome: Outcome, number: str) -> None:
    expected = find(number).expect
    assert outcome.after[number] == outcome.before[number]
    assert expected == "(as before)" or outcome.after[number] == expected


def test_what_is_not_as_it_was_is_told(outcome: Outcome) -> None:
    told = "\n".join(outcome.left)
    assert "view acctl6_db.seen runs as root@localhost here" in told and "there it runs as acctl6@localhost" in told
    assert "trigger acctl6_db.t_bi runs as root@localhost here" in told
    assert "view acct36_db.leftover is broken" in told
    assert "acct39_db" not in told, "whoever calls an invoker's object counts, whoever has defined it"
