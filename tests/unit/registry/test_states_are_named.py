"""Code names a state by its enum: a state that is spelled wrongly, or renamed, is then an error and not a rule that
never holds."""

import ast
from collections.abc import Iterator
from pathlib import Path

from include.registry.states import MACHINES

ROOT = Path(__file__).parents[3]
STATES = {state.name for machine in MACHINES for state in machine.states}
OF_RUNS = {"queued", "running", "success", "failed"}
"""What Airflow says of a run, which is asked in the same words."""
OF_OPERATIONS = {"unknown", "running", "succeeded", "failed", "vanished"}
"""What an agent says of an operation, in the words of its verb `status`."""
CHANGES = {"advance", "advance_move", "advance_test", "set_campaign_account", "past", "_past", "there_or_past"}
"""Functions that take a state."""


def sources() -> Iterator[Path]:
    for folder in ("include", "plugins", "dags"):
        yield from (path for path in (ROOT / folder).rglob("*.py") if "agent" not in path.relative_to(ROOT).parts)


def words(node: ast.expr) -> set[str]:
    """The words that an expression writes out: one, or several in a tuple, list or set."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def spelled_out(tree: ast.AST) -> Iterator[tuple[int, set[str]]]:
    """Lines that write a state out in the place of its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr.endswith("state"):
            found = set().union(*map(words, node.comparators))
            if found & STATES and not (found <= OF_RUNS or found <= OF_OPERATIONS):
                yield node.lineno, found & STATES
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in CHANGES:
            found = set().union(*map(words, [*node.args, *(keyword.value for keyword in node.keywords)]))
            if found & STATES:
                yield node.lineno, found & STATES


def test_no_state_is_spelled_out():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {', '.join(sorted(states))}"
        for path in sources()
        for line, states in spelled_out(ast.parse(path.read_text()))
    ]
    assert found == [], "write the state's name, such as MoveState.COMMITTED"


def test_a_state_that_is_spelled_out_is_found():
    text = (
        'if move.state in ("committed", "done"):\n    registry.advance_move(conn, id, "copying")\nrun.state == "failed"'
    )
    assert list(spelled_out(ast.parse(text))) == [(1, {"committed", "done"}), (2, {"copying"})]
