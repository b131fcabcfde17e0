"""Who runs the databases' programs: none that reads what a customer or another server wrote is root."""

import ast
from collections.abc import Iterator
from pathlib import Path

from include import agent
from include.agent.host.processes import AS_CLIENT, CLIENT

PROGRAMS = {"psql", "pg_dump", "pg_restore", "mariadb-dump"}
"""But for `mariadb`: its first user is root's own, known by the socket, and `Login.argv` makes every other."""


def commands() -> Iterator[tuple[str, str, str]]:
    """Each list of words that begins a program of a database: where, which program, and what stands before it."""
    assert agent.__file__
    for path in sorted(Path(agent.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.List):
                words = [
                    word.value for each in node.elts[:2] for word in ast.walk(each) if isinstance(word, ast.Constant)
                ]
                for name in PROGRAMS & {word for word in words if isinstance(word, str)}:
                    yield f"{path.name}:{node.lineno}", name, ast.unparse(node.elts[0])


def test_no_program_of_a_database_reads_as_root() -> None:
    found = list(commands())
    assert {name for _, name, _ in found} == PROGRAMS
    assert [where for where, _, before in found if before not in ("*AS_CLIENT", "*AS_POSTGRES")] == []


def test_an_archive_and_a_definition_are_read_by_nobody() -> None:
    """An archive comes from the other server, and whoever dumps a MariaDB logs in with a password and needs no user."""
    readers = [(where, before) for where, name, before in commands() if name in ("pg_restore", "mariadb-dump")]
    assert len(readers) >= 4
    assert [where for where, before in readers if before != "*AS_CLIENT"] == []
    assert {f"--reuid={CLIENT}", f"--regid={CLIENT}", "--clear-groups", "--no-new-privs"} <= {*AS_CLIENT}
