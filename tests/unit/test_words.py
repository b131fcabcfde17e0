"""A variable says what it is: an account, a row, an answer. Words that fit everything are not used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EMPTY = {"found", "said", "there", "one", "its", "thing", "what", "told", "ways"}
"""Names that fit everything, and so say nothing."""
STILL_THERE = ("agent", "hosts", "machines")
"""Parts of `include` that have such variables still: take one out of this list once it has none."""
PLACES = [
    *("cli", "lab", "benchmarks", "docs"),
    *(f"include/{path.name}" for path in sorted((ROOT / "include").iterdir()) if path.name not in STILL_THERE),
]


def variables(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a file names: variables and parameters."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


@pytest.mark.parametrize("place", [place for place in PLACES if not place.endswith("__pycache__")])
def test_variables_say_what_they_are(place):
    path = ROOT / place
    files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
    empty = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in files
        for line, name in variables(file.read_text())
        if name in EMPTY
    ]
    assert empty == [], "name it by what it holds"


def test_a_word_is_met_wherever_it_is_bound():
    source = "def f(found, *, told=1):\n    for one in found:\n        what = [there for there in one]\n"
    assert {name for _, name in variables(source)} == {"found", "told", "one", "what", "there"}
