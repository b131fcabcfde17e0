"""What a move's figures prove, and what is said of it."""

from datetime import UTC, datetime

import pytest

from include.moves import proof
from include.panel import event_text
from include.registry import Event, read_figures

EQUAL = {"files": 3, "tables": 1, "rows": 2, "messages": 0, "bytes": 7, "equal": True}
LEFT = "Database shop: publication p is not carried."


@pytest.mark.parametrize(
    ("switched", "word"),
    [
        ({"verified": EQUAL, "left": []}, "yes"),
        ({"verified": EQUAL, "left": [LEFT, LEFT]}, "but 2"),
        ({"verified": {**EQUAL, "equal": False}, "left": []}, "NO"),
        ({}, "NO"),
    ],
)
def test_verified_is_said_only_of_what_is_equal_and_whole(switched: dict, word: str) -> None:
    found = proof.of(read_figures({"copy": {"left": []}, "switch": switched}))
    assert found.word == word and found.verified == (word == "yes")


def test_what_the_copy_left_counts_until_the_switch_has_said_it() -> None:
    copied = {"left": [LEFT]}
    assert proof.of(read_figures({"copy": copied, "switch": {"verified": EQUAL}})).left == [LEFT]
    assert proof.of(read_figures({"copy": copied, "switch": {"verified": EQUAL, "left": []}})).left == []


@pytest.mark.parametrize(
    ("left", "told"),
    [([], "shop lives on its new server."), ([LEFT], f"shop lives on its new server. Not carried: {LEFT}")],
)
def test_a_customer_is_told_what_was_not_carried(left: list[str], told: str) -> None:
    detail = {"switch": {"verified": EQUAL, "left": left}}
    committed = Event(1, datetime.now(UTC), "move.committed", None, "shop", None, None, None, detail, None)
    assert event_text.for_customer(committed) == told
