"""What several tests need stands in a module of its own: a test's file can be read, moved and deleted by itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that is imported, `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, one.name) for one in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module or ''}.{one.name}") for one in node.names)


def test_nothing_is_imported_from_a_test() -> None:
    looked_at = sorted(TESTS.rglob("*.py"))
    assert Path(__file__) in looked_at
    names = {path.stem for path in looked_at if path.stem.startswith("test_")}
    found = [
        f"{path.relative_to(TESTS)}:{line}: {name}"
        for path in looked_at
        for line, name in imported(ast.parse(path.read_text()))
        if name.split(".")[0] in {"", "tests", *names} and names & {*name.split(".")}
    ]
    assert found == [], "put what both need into a module beside them, or into tests/support"
