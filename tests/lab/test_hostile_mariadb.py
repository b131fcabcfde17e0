"""Hostile customers, neighbours and a hostile other server on each infrastructure's MariaDB (`mariadb_tries`)."""

from typing import Any

import pytest

from tests.lab import base_tree

_CODE = """
import json
from include.agent.host.kept import Kept
from tests.lab import mariadb_tries as tries
with Kept():
    alice = tries.start()
    said = {"names": tries.names_in_every_set(alice), "neighbour": tries.a_neighbours_statements(alice)}
    said["load"] = tries.a_load_and_a_question_at_once(alice)
print(json.dumps(said))
"""


@pytest.fixture(scope="module", params=["2022", "2026"])
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return base_tree.run(request.param, _CODE, tmp_path_factory.mktemp("tree"), seconds=400)


def test_names_in_every_character_set_are_switched_and_made_as_what_they_are(said: dict[str, Any]) -> None:
    names = said["names"]
    assert names["made"] == 600 and names["running in the hold"] == [] and names["same after it"]
    # Events alone are printed in two character sets at once.
    assert names["refused"] == ["EVENT"] and "SET NAMES utf8mb4" in names["said"]
    assert names["failed"] == [] and names["running there"] == []
    assert names["there"] == names["wanted"] and len(names["wanted"]) > 450


def test_no_statement_of_a_neighbour_makes_tables_go_over_whole(said: dict[str, Any]) -> None:
    neighbour = said["neighbour"]
    # What he has no right to, on alice's tables, is the last two.
    assert neighbour["done"] == [True] * 10 + [False] * 2 and neighbour["named"] > 5
    assert not neighbour["as statements"] and neighbour["by bob"] == []
    assert neighbour["by alice"] == [["posts"], ["others", "users"]]


def test_a_power_for_a_moment_is_nobodys_for_whom_the_other_server_words(said: dict[str, Any]) -> None:
    assert said["load"] == {"loaded": [{"bytes": 4}], "rows": "1", "taken": [], "refused": [True] * 3}
