"""Whatever changes in an account's MariaDB databases between the copy and the hold is the same on the new server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.agents import measured, side
from tests.lab.cases.case import read
from tests.lab.cases.run import Outcome, World
from tests.lab.handles import Lab

CHANGES = [read(path) for path in sorted((Path(__file__).parent / "cases" / "changes").glob("m*.sql"))]


@pytest.fixture(scope="module")
def outcome(lab: Lab) -> Iterator[Outcome]:
    """All changes in one account and one move."""
    with lab.fresh("2022", "2026") as (old, new):
        world = World(side(lab, old), side(lab, new), CHANGES)
        world.fill()
        yield world.move("changes-1")


def test_the_account_moves(outcome: Outcome) -> None:
    assert outcome.refused is None
    assert measured(outcome.moved.verified).equal


@pytest.mark.parametrize("number", [case.number for case in CHANGES])
def test_a_change_is_there(outcome: Outcome, number: str) -> None:
    assert "ERROR" not in outcome.before[number]
    assert outcome.after[number] == outcome.before[number]


def test_the_catalogues_are_those_that_the_print_was_held_against(lab: Lab) -> None:
    stored = json.loads((Path(__file__).parents[1] / "unit/agent/stores/mariadb/catalogue.json").read_text())
    sql = "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), COLUMN_NAME FROM information_schema.COLUMNS"
    sql += " WHERE TABLE_SCHEMA IN ('information_schema', 'mysql') ORDER BY 1, ORDINAL_POSITION"
    with lab.fresh("2022", "2026") as servers:
        for version, one in zip(stored, servers, strict=True):
            rows = lab.root(one.name, ["mariadb", "--no-defaults", "-N", "--batch", "-e", sql])
            found: dict[str, list[str]] = {}
            for line in rows.splitlines():
                catalogue, column = line.split("\t")
                found.setdefault(catalogue, []).append(column)
            assert found == stored[version]
