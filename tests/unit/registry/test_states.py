"""The transition tables, and the page that is drawn from them."""

from pathlib import Path

import pytest

from include.registry import states, states_page

PAGE = Path(__file__).parents[3] / "docs" / "states.md"


def test_page_is_up_to_date():
    assert PAGE.read_text() == states_page.page(), "run: python -m include.registry states > docs/states.md"


@pytest.mark.parametrize("machine", states.MACHINES, ids=lambda machine: machine.subject)
def test_machine_is_whole(machine):
    names = [state.name for state in machine.states]
    assert len(names) == len(set(names))
    assert all(state.sentence.endswith(".") for state in machine.states)
    reached = {state.name for state in machine.states if state.initial}
    assert reached
    for _ in names:
        reached |= {t.target for t in machine.transitions if t.source in reached}
    assert reached == set(names)


@pytest.mark.parametrize("machine", states.MACHINES, ids=lambda machine: machine.subject)
def test_path_is_made_of_transitions(machine):
    declared = {(t.source, t.target) for t in machine.transitions}
    assert set(zip(machine.path, machine.path[1:], strict=False)) <= declared


@pytest.mark.parametrize(
    ("current", "target", "answer"),
    [
        ("handed_over", "handed_over", True),
        ("rerouted", "handed_over", True),
        ("handed_over", "rerouted", False),
        ("done", "checking", True),
        ("cancelled", "checking", False),
        ("cancelled", "cancelled", True),
        ("done", "cancelled", False),
    ],
)
def test_there_or_past(current, target, answer):
    assert states.MIGRATION.there_or_past(current, target) is answer
