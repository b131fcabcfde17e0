"""How long each connection to a socket has been there, of those that wait as well: a queue that never is empty is no
request that never ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from include.agent.host.unix_sockets import Ages


def test_who_waits_is_as_old_as_it_has_been_seen() -> None:
    ages = Ages()
    assert ages.look([], 1, 10) == [10]
    assert ages.look([], 2, 11) == [10, 11]
    assert ages.look([7], 1, 12) == [10, 11], "who has waited longest was accepted"
    assert ages.look([7, 8], 0, 13) == [10, 11]
    assert ages.look([8], 0, 14) == [11] and ages.look([], 0, 15) == []


def test_a_queue_that_moves_on_keeps_nobody_old() -> None:
    """One is accepted and answered in each step, and another comes: two wait all the time."""
    ages = Ages()
    for now in range(100):
        begun = ages.look([now], 2, now)
        assert now - min(begun) <= 3


@given(st.lists(st.tuples(st.sets(st.integers(1, 9), max_size=5), st.integers(0, 5)), max_size=20))
def test_each_is_told_once(looks: list[tuple[set[int], int]]) -> None:
    ages = Ages()
    for now, (accepted, waiting) in enumerate(looks):
        begun = ages.look(sorted(accepted), waiting, now)
        assert len(begun) == len(accepted) + waiting and all(since <= now for since in begun)
