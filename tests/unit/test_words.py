"""A name says what it is or does: an account, a row, an answer. Words that fit everything are not used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EMPTY = {"found", "said", "there", "one", "its", "thing", "what", "told", "ways", "known", "wanted", "got", "it"}
"""Names that fit everything, and so say nothing."""
STILL_THERE = (
    *("agent/checks/account.py", "agent/protocol.py"),
    *("agent/move/fence.py", "agent/move/forward.py", "agent/move/identity.py", "agent/move/redirect.py"),
    *("agent/move/switch.py", "agent/stores/files/store.py"),
    *("agent/verbs/mariadb.py", "agent/verbs/postgresql.py", "agent/verbs/verb.py"),
    *("hosts/host.py", "moves/servers.py"),
    *("registry/accounts.py", "registry/campaigns.py", "registry/catalogue.py", "registry/migrations.py"),
    *("registry/moves.py", "registry/obstacles.py", "registry/queries/board_server.py", "registry/queries/panel.py"),
    *("registry/queue.py", "registry/runs.py", "registry/schema/in_force.py", "registry/tests.py"),
)
"""Files of `include` that have such variables still: take one out of this list once it has none."""
ALLOWED = {
    "include/agent/account/engines.py": {"what", "told"},
    "include/agent/host/scope.py": {"what"},
    "include/agent/layouts/classic/php.py": {"told"},
    "include/agent/layouts/native/php.py": {"told"},
    "include/agent/stores/duplicated.py": {"said"},
    "include/agent/stores/store.py": {"what", "ways"},
    "include/agent/verbs/reports.py": {"said", "ways", "what"},
    "include/machines/interface.py": {"there"},
    "include/machines/lxc.py": {"there"},
}
"""Names of fields and functions that are read with what they belong to; most of the fields go over the wire."""
PLACES = [
    *("cli", "lab", "benchmarks", "docs"),
    *(f"include/{path.name}" for path in sorted((ROOT / "include").iterdir()) if path.name != "__pycache__"),
]


def named(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a file names: variables, parameters, functions and classes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name.strip("_").lower()


def empty(file: Path) -> list[str]:
    """Where a file uses such a word."""
    path = str(file.relative_to(ROOT))
    refused = EMPTY - ALLOWED.get(path, set())
    return [f"{path}:{line}: {name}" for line, name in named(file.read_text()) if name in refused]


@pytest.mark.parametrize("place", PLACES)
def test_names_say_what_they_are(place):
    path = ROOT / place
    files = {path} if path.suffix == ".py" else {*path.rglob("*.py")}
    files -= {ROOT / "include" / name for name in STILL_THERE}
    assert [use for file in sorted(files) for use in empty(file)] == [], "name it by what it holds"


@pytest.mark.parametrize("name", STILL_THERE)
def test_a_file_that_has_none_is_taken_off_the_list(name):
    assert empty(ROOT / "include" / name), f"take {name} out of STILL_THERE"


def test_a_word_is_met_wherever_it_is_bound():
    source = "def _said(found, *, told=1):\n    for one in found:\n        what = [there for there in one]\n"
    source += "class Known:\n    wanted: int\n"
    expected = {"said", "found", "told", "one", "what", "there", "known", "wanted"}
    assert {name for _, name in named(source)} == expected
