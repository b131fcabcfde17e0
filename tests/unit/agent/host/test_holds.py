"""What is expected of a hold follows what holds took, and never keeps every next one from being tried."""

from pathlib import Path

import pytest

from include.agent.host import holds


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "_HOLDS", tmp_path / "holds.json")


def test_one_slow_hold_says_little() -> None:
    first = holds.usual_rest()
    holds.note(30)
    assert holds.usual_rest() == first


@pytest.mark.parametrize("seconds", [0.1, 3])
def test_what_holds_take_again_and_again_is_expected(seconds: float) -> None:
    for _ in range(5):
        holds.note(seconds)
    assert holds.usual_rest() == seconds


def test_what_kept_holds_from_beginning_is_forgotten_in_the_end() -> None:
    first = holds.usual_rest()
    for _ in range(50):
        holds.note(3)
    for _ in range(20):
        holds.doubt()
    assert holds.usual_rest() == first
    holds.doubt()
