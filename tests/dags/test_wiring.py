"""The files of the DAGs are wiring: they say which steps there are and in which order, and nothing of how."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parents[2] / "dags").glob("*.py"))
DECISIONS = (ast.If, ast.IfExp, ast.BoolOp, ast.Compare, ast.Match, ast.While, ast.For, ast.Try, ast.Lambda, ast.Raise)
CONNECTS = re.compile(
    r"connect|registry_connection|cursor|execute|executemany|fetch\w*|commit|rollback|transaction|\w*Hook"
)
SQL = re.compile(r"\b(SELECT|INSERT\s+INTO|UPDATE|DELETE\s+FROM|CREATE|ALTER|DROP)\b")
FACTS = ("migration", "move", "test", "facts", "asked", "peer", "result", "billed", "turn")
"""What steps hand on to each other is called one of these."""


def wrong(source: str) -> Iterator[str]:
    """What is more than wiring."""
    tree = ast.parse(source)
    documents = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, DOCUMENTED)}
    for node in ast.walk(tree):
        line = f"line {getattr(node, 'lineno', 0)}"
        if isinstance(node, DECISIONS) or (isinstance(node, ast.comprehension) and node.ifs):
            yield f"{line}: it decides something"
        elif isinstance(node, ast.With) and not all(_is_group(one) for one in node.items):
            yield f"{line}: it opens something"
        elif isinstance(node, ast.Import | ast.ImportFrom) and "psycopg" in ast.unparse(node):
            yield f"{line}: it knows of the database"
        elif CONNECTS.fullmatch(getattr(node, "attr", getattr(node, "id", getattr(node, "name", ""))) or ""):
            yield f"{line}: it works on a connection"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in documents:
            if SQL.search(node.value) or "xcom" in node.value:
                yield f"{line}: it asks a database, or takes what a step gave apart"
        elif isinstance(node, ast.FunctionDef) and node.name not in _made(tree):
            yield from (f"{line}: {node.name}: {what}" for what in _wrong_step(node))


DOCUMENTED = (ast.Module, ast.FunctionDef, ast.ClassDef)


def _is_group(opened: ast.withitem) -> bool:
    return ast.unparse(opened.context_expr).startswith("group(")


def _made(tree: ast.Module) -> set[str]:
    """The functions that make a DAG: the last line of a file calls it."""
    return {ast.unparse(node).partition("(")[0] for node in tree.body[-1:]}


def _wrong_step(function: ast.FunctionDef) -> Iterator[str]:
    decorators = [one.func for one in function.decorator_list if isinstance(one, ast.Call)]
    if [ast.unparse(one) for one in decorators] != ["step"]:
        yield "it is no step"
    if not ast.get_docstring(function):
        yield "it does not say what it does"
    if any(not isinstance(one, ast.Expr | ast.Assign | ast.Return) for one in function.body):
        yield "it is more than calls"
    for argument in function.args.args:
        if argument.annotation is None or (argument.arg in FACTS and "dict" in ast.unparse(argument.annotation)):
            yield f"what it is given as {argument.arg} has no type"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dag_is_wiring(file: Path) -> None:
    assert list(wrong(file.read_text())) == []


def step_of(*lines: str) -> str:
    body = "".join(f"        {line}\n" for line in lines)
    head = '    @step()\n    def one(conn: Registry, migration: Facts) -> None:\n        """Doc."""\n'
    return f"def made():\n{head}{body}\nmade()\n"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("if migration.id: servers.wipe(conn)", "it decides something"),
        ("return 1 if migration.id else 2", "it decides something"),
        ("return migration.server or 'vps-1'", "it decides something"),
        ("return [one for one in servers.all(conn) if one]", "it decides something"),
        ("raise AirflowFailException('no')", "it decides something"),
        ("with connections.registry_connection() as other: servers.wipe(other)", "it opens something"),
        ("return conn.execute('x')", "it works on a connection"),
        ("return PostgresHook('registry')", "it works on a connection"),
        ("return value(conn, 'SELECT 1')", "it asks a database"),
        ("return Wait(\"{{ ti.xcom_pull(task_ids='one')['id'] }}\")", "takes what a step gave apart"),
    ],
)
def test_what_is_more_than_wiring_is_found(line: str, sentence: str) -> None:
    assert list(wrong(step_of("return servers.wipe(conn, migration)"))) == []
    assert any(sentence in found for found in wrong(step_of(line)))


@pytest.mark.parametrize(
    ("was", "now", "sentence"),
    [
        ("migration: Facts", "migration: dict[str, Any]", "given as migration has no type"),
        ("migration: Facts", "migration", "given as migration has no type"),
        ("    @step()\n", "    @task\n", "it is no step"),
        ('        """Doc."""\n', "", "does not say what it does"),
    ],
)
def test_a_step_is_a_step_with_a_doc_and_types(was: str, now: str, sentence: str) -> None:
    assert any(sentence in found for found in wrong(step_of("return servers.wipe(conn)").replace(was, now)))
