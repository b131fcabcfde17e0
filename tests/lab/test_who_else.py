"""What a customer owns beside the data, on each infrastructure's engines (`who_else_tries`): names like the agent's,
ways into a hold, settings that bind, code that a look meets, a transaction left open."""

from typing import Any

import pytest

from tests.lab import base_tree

_CODE = """
import json
from include.agent.host.kept import Kept
from tests.lab import obstacles_tries, who_else_tries as tries
with Kept():
    both = tries.start()
    found = {each.__name__: each(*both) for each in (obstacles_tries.in_the_way, tries.names, tries.in_a_hold,
        tries.settings, tries.looks, tries.open_transactions, tries.restoring, tries.granted_to)}
print(json.dumps(found))
"""


@pytest.fixture(scope="module", params=["2022", "2026"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return base_tree.run(request.param, _CODE, tmp_path_factory.mktemp("tree"), seconds=400)


def test_what_has_a_name_of_the_agents_is_not_taken_for_its_own(found: dict[str, Any]) -> None:
    one = found["names"]
    assert one.pop("left") == []
    taken = {name: what for name, what in one.items() if not name.endswith("free")}
    assert len(taken) == 18 and set(map(tuple, taken.values())) == {("name_taken", "name_taken", True)}
    assert not any(any(one[name]) for name in {*one} - {*taken})


def test_nobody_gets_into_a_hold_or_lifts_it(found: dict[str, Any]) -> None:
    one = found["in_a_hold"]
    assert one["held"] == [True, True]
    assert not any(one["sessions"])
    assert all("ERROR" in answer or "FATAL" in answer for answer in one["lifted"].values())
    assert all("FATAL" in answer for answer in one["wrote"].values())
    assert one["after"] == ["0", True, True]
    assert (one["member"], one["granted"]) == ("foreign_member", "foreign_writer")


def test_what_is_set_for_a_database_does_not_bind_who_moves_it(found: dict[str, Any]) -> None:
    """Each setting that a customer may set, all at once, each to what the server does not have."""
    one = found["settings"]
    assert one["taken"] > 100 and one["they bind a customer"]
    assert one["superuser"] == one["reader"] == {}
    assert set(one["steps"].values()) == {""}


def test_a_customers_code_that_a_look_meets_writes_nothing_and_leaves_no_trace(found: dict[str, Any]) -> None:
    one = found["looks"]
    assert one["looks"] == [["s0"], ["s1"], ["s2"]] and one["same"]  # it did run
    assert one["settings"] == ["pg_catalog", "on"]
    assert one["password"] and one["wrote"] == "0"
    assert "FATAL" in one["login"]


def test_a_neighbours_transaction_is_ended_when_it_does_nothing_and_told_when_it_works(found: dict[str, Any]) -> None:
    one = found["open_transactions"]
    (idle, waited), (busy, _), (nobody, _) = one["idle"], one["busy"], one["nobody"]
    assert idle == nobody == "" and waited < 6
    assert not one["idle goes on"] and one["busy goes on"] and one["rows"] == "{2}"
    assert "session" in busy and "of bob in database bob" in busy


def test_what_a_move_would_refuse_is_found_beforehand_with_its_place(found: dict[str, Any]) -> None:
    """One look of the agent: nothing is in the way, then everything is, and nothing is changed by it."""
    one = found["in_the_way"]
    assert one["nothing"] == {"obstacles": [], "left": []}
    told = [(each["who"], each["sentence"]) for each in one["all"]["obstacles"]]
    wanted = (
        ("host", "In database carol table public.audit belongs to postgres"),
        ("customer", "The MariaDB table carol.f refers to bob.p"),
        ("customer", "The table h of database carol tells its old rows apart"),
        ("host", "The MariaDB user eve@localhost, which is no user of carol, may write to its databases"),
    )
    assert [
        (who, begins) for who, begins in wanted if not any(w == who and s.startswith(begins) for w, s in told)
    ] == []
    assert len(told) == len(wanted), told
    (deep,) = one["all"]["left"]
    assert "below a path of more than 4,000 bytes" in deep and "dddd" in deep
    assert one["the same afterwards"]
    assert "may act as carol" in one["a member"]["obstacles"][0]["sentence"]
    assert "The MariaDB database carol of carol does not exist here" in one["gone"]["obstacles"][0]["sentence"]


def test_the_password_of_a_restore_is_seen_by_nobody_opens_nothing_of_a_neighbour_and_ends_with_it(
    found: dict[str, Any],
) -> None:
    one = found["restoring"]
    assert one["file"] == ["0o600", 0] and one["opens"] == "its own"
    assert not one["seen by 1500"] and not one["seen by 1501"] and not one["shown to alice"]
    assert all("FATAL" in answer for answer in one["another password"])
    assert all("ERROR" in answer for answer in [*one["of bob"], *one["powers"]])
    assert one["hidden rows"] == "0"
    login, running, noted = one["afterwards"]
    assert "FATAL" in login and running == 0 and not noted and one["ended"]


def test_what_a_neighbour_grants_to_a_role_does_not_keep_it_on_the_server(found: dict[str, Any]) -> None:
    one = found["granted_to"]
    assert one["granted"] == ""
    assert (one["reader"], one["discard"], one["left"], one["of bob"]) == ("", "", [], "1")
