"""Figures of moves: kept as they were measured, and read whatever an earlier release has kept."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from include.agent.host.codec import plain
from include.agent.host.scope import Scope
from include.agent.verbs.reports import Copied, Cut, Step, Switched, Verified, Way
from include.registry import Figures, read_figures

WAY = Way(store="mariadb", database="shop", way="follow", why="It is large.")
MEASURED = Figures(
    copy=Copied(files=3, bytes=9, seconds=1.5, stores={"files": 1.5}, left=["A socket."], ways=[WAY]),
    switch=Switched(
        expected_ms=280.0,
        held_ms=310.4,
        held_at=1.7e9,
        steps=[Step(name="front", seconds=0.1)],
        verified=Verified(files=3, rows=7, equal=True),
        cut=Cut(requests=1),
        left=[],
        scope={"mail": Scope("every message", "SHA-256", "in the hold", ("Queues.",))},
        ways=[WAY],
    ),
    longest_wait_seconds=1,
)


def test_what_was_measured_is_read_as_it_was_kept() -> None:
    for kept in (asdict(MEASURED), plain(MEASURED)):
        assert read_figures(json.loads(json.dumps(kept))) == MEASURED


@pytest.mark.parametrize("kept", [{}, {"files": 3}, {"copy": None, "switch": None}, {"copy": {}, "switch": {}}])
def test_what_an_earlier_release_did_not_keep_is_nothing(kept: dict[str, Any]) -> None:
    assert read_figures(kept) == Figures()


@pytest.mark.parametrize("part", sorted({*asdict(MEASURED.switch)} - {"verified", "held_ms"}))
def test_a_switch_that_lacks_a_part_is_read_without_it(part: str) -> None:
    kept = plain(MEASURED)
    del kept["switch"][part]
    switched = read_figures(kept).switch
    assert getattr(switched, part) == getattr(Switched(), part)
    assert (switched.verified, switched.held_ms) == (MEASURED.switch.verified, 310.4)


@pytest.mark.parametrize(
    "strange", ["a word", 7, [], {"held_ms": "long"}, {"verified": {"files": -1}}, {"left": "all"}]
)
def test_a_switch_that_was_kept_otherwise_proves_nothing_and_spoils_nothing(strange: Any) -> None:
    assert read_figures(plain(MEASURED) | {"switch": strange}) == Figures(
        copy=MEASURED.copy, longest_wait_seconds=MEASURED.longest_wait_seconds
    )
