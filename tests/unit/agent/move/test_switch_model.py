"""The switch's protocol, walked through whole: what must hold holds, and each repair is there for a reason."""

from __future__ import annotations

import pytest

from tests.support.switch_model import OPENS_AGAIN, PROPERTIES, REPAIRS, World, walk

WORLDS = {
    "nobody interferes": World(source_crashes=2, target_crashes=2, cuts=2),
    "the task runs twice": World(second_run=True, source_crashes=1, cuts=1),
    "a person marks and clears": World(acts_of_a_person=2, source_crashes=1, cuts=1),
    "a person goes on and on": World(acts_of_a_person=3),
    "a person, and two runs": World(acts_of_a_person=2, second_run=True),
    "the source comes back from a snapshot in the middle of the move": World(restores=1),
}


@pytest.mark.parametrize("name", WORLDS)
def test_everything_holds_wherever_it_is_interrupted(name: str) -> None:
    found = walk(WORLDS[name])
    assert found.states > 200, "nothing was walked through"
    assert found.violated == {}


A_PERSON = World(acts_of_a_person=2)
BOTH = World(acts_of_a_person=2, second_run=True)
RETURNED_IS_GONE = "a returned move has left nothing on the target"
WITHOUT = [
    # Each repair, where it is missed, what is violated then.
    ({"promise"}, A_PERSON, {"never two open copies", "only what was compared is committed", OPENS_AGAIN}),
    ({"promise", "released_first"}, A_PERSON, {RETURNED_IS_GONE}),
    ({"stale_ends"}, BOTH, {RETURNED_IS_GONE, OPENS_AGAIN}),
    ({"source_asked"}, A_PERSON, {"the registry knows where it lives when all is quiet"}),
    ({"peer_asked"}, World(restores=1), {"never two open copies", "an open source has every acknowledged write"}),
]


@pytest.mark.parametrize(("left_out", "world", "violated"), WITHOUT, ids=[",".join(sorted(w[0])) for w in WITHOUT])
def test_without_a_repair_the_walk_finds_the_way_to_the_loss(left_out, world, violated) -> None:
    found = walk(World(**{**vars(world), "repairs": REPAIRS - left_out}))
    assert violated <= {*found.violated}
    for way in found.violated.values():
        assert way[-1].startswith("then: ") and len(way) < 30


def test_the_path_that_stays_is_a_net_below_the_promise() -> None:
    """Were the promise broken, a move would still not be called returned while the account lives on the target."""
    assert RETURNED_IS_GONE not in walk(World(acts_of_a_person=2, repairs=REPAIRS - {"promise"})).violated


def test_every_repair_and_every_property_is_tried() -> None:
    assert set().union(*(left_out for left_out, _, _ in WITHOUT)) == REPAIRS
    missed = walk(World(acts_of_a_person=2, repairs=frozenset())).violated
    assert {*missed} == {*PROPERTIES, OPENS_AGAIN}


def test_what_nobody_can_know_is_not_promised() -> None:
    """A source from a snapshot that cannot reach the target serves: a plain reboot looks the same from there."""
    assert "never two open copies" in walk(World(restores=1, cuts=1)).violated
