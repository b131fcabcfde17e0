"""Nothing of the agent's outlives what it is for: its modules keep nothing, and what a run keeps open ends with it."""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.agent.host import kept
from include.agent.host.system import side_by_side

AGENT = Path(__file__).parents[3] / "include" / "agent"
NAMES = {path.stem for path in AGENT.rglob("*.py")}
MODULES = {str(path.relative_to(AGENT)): path.read_text() for path in sorted(AGENT.rglob("*.py"))}
CHANGES = {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove"}
CHANGES |= {"setdefault", "sort", "update", "intersection_update", "difference_update"}
PURE = {"checks/text.py": {"_address_pattern", "_variable_pattern"}, "host/codec.py": {"shape_of"}}
PURE |= {"stores/mariadb/passwords.py": {"_doublings"}}
"""What is remembered of these follows from what they are given, and from nothing on a server."""
PASS_ON = {"channel/peer.py", "host/sandbox.py", "stores/postgresql/carried.py", "stores/postgresql/send.py"}
PASS_ON |= {"stores/postgresql/sql.py"}
"""The threads of these carry bytes between two pipes, and look at nothing that a run keeps."""


def names_of(module: ast.Module) -> set[str]:
    """What a module itself names by an assignment."""
    found: set[str] = set()
    for statement in module.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for target in targets:
            found |= {each.id for each in ast.walk(target) if isinstance(each, ast.Name)} if target else set()
    return found


def local_to(function: ast.AST) -> set[str]:
    """What a function itself names: its arguments, and what it assigns."""
    found = {each.arg for each in ast.walk(function) if isinstance(each, ast.arg)}
    return found | {e.id for e in ast.walk(function) if isinstance(e, ast.Name) and isinstance(e.ctx, ast.Store)}


def root_of(node: ast.AST) -> str | None:
    """`a` of `a`, `a.b`, `a[1]`, `a.b[1].c`."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def changed_in(function: ast.AST, modules: set[str]) -> Iterator[str]:
    """The names of things that a function changes: it assigns to a part of them or calls what changes them, or makes
    the name of a module mean something else (`global`)."""
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            yield root_of(node) or ""
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            called = node.func.value
            of_module = isinstance(called, ast.Name) and called.id in modules  # as `restore.discard()`
            yield "" if of_module else root_of(called) or ""


def imported(module: ast.Module) -> set[str]:
    imports = [node for node in ast.walk(module) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}


def kept_by(text: str) -> list[str]:
    """What of a module lasts from one call of its functions to the next, and is changed by them: its own names, or
    parts of another module's; and what `functools` remembers for it."""
    module = ast.parse(text)
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lasting, found = names_of(module) | imported(module), set()
    for function in functions:
        said = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
        found |= {
            name
            for name in changed_in(function, imported(module) & NAMES)
            if name in (lasting - local_to(function)) | said
        }
        remembered = {ast.unparse(each).partition("(")[0].rpartition(".")[2] for each in function.decorator_list}
        found |= {function.name} if remembered & {"cache", "lru_cache"} else set()
    return sorted(found)


@pytest.mark.parametrize("name", MODULES)
def test_no_module_keeps_what_its_functions_change(name: str) -> None:
    found = {*kept_by(MODULES[name])} - PURE.get(name, set())
    assert found == set(), "give it to an object that ends with what it is for, or have the run keep it (host/kept.py)"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("known = {}\ndef f(a):\n    known[a] = 1", ["known"]),
        ("known: dict[str, int] = {}\ndef f(a):\n    known.setdefault(a, 1)", ["known"]),
        ("idle = []\nclass C:\n    def f(self):\n        idle.pop().close()", ["idle"]),
        ("idle = []\ndef f():\n    idle[0].x = 1", ["idle"]),
        ("idle = []\ndef f():\n    del idle[0]", ["idle"]),
        ("idle, one = [], 1\ndef f():\n    idle.append(one)", ["idle"]),
        ("known = None\ndef f():\n    global known\n    known = 1", ["known"]),
        ("from . import other\ndef f():\n    other.known[1] = 2", ["other"]),
        ("from .stores import restore\ndef f():\n    restore.known.discard(1)", ["restore"]),
        ("from .stores import restore\ndef f():\n    restore.discard(1)", []),
        ("from .other import known\ndef f():\n    known.discard(1)", ["known"]),
        ("from functools import cache\n@cache\ndef f(): ...", ["f"]),
        ("import functools\n@functools.lru_cache(maxsize=1)\ndef f(): ...", ["f"]),
        ("restore = []\ndef f():\n    restore.append(1)", ["restore"]),
        ("known = {}\ndef f():\n    known = {}\n    known[1] = 2", []),
        ("known = {}\ndef f(known):\n    known[1] = 2", []),
        ("known = {1: 2}\ndef f(a):\n    return known[a]", []),
        ("known = {}\nknown[1] = 2", []),
        ("class C:\n    def f(self):\n        self.known[1] = 2", []),
    ],
)
def test_the_look_at_modules_finds_what_is_changed_and_no_more(text: str, found: list[str]) -> None:
    assert kept_by(text) == found


@pytest.mark.parametrize("name", MODULES)
def test_each_thread_finds_what_the_run_keeps(name: str) -> None:
    if name == "host/kept.py":
        return
    called = [node.func for node in ast.walk(ast.parse(MODULES[name])) if isinstance(node, ast.Call)]
    names = {ast.unparse(each).rpartition(".")[2] for each in called}
    assert "ThreadPoolExecutor" not in names and ("Thread" not in names or name in PASS_ON), "host/kept.py has them"


# --- what a run keeps ---


class Thing:
    made: list[Thing]
    ended: list[Thing]

    def __init__(self) -> None:
        type(self).made.append(self)

    def close(self) -> None:
        type(self).ended.append(self)


@pytest.fixture
def one() -> type[Thing]:
    return type("One", (Thing,), {"made": [], "ended": []})


def test_a_run_keeps_one_of_each_kind_until_its_end(one: type[Thing]) -> None:
    class Other(Thing):
        made: list[Thing] = []
        ended: list[Thing] = []

    other = Other
    with kept.Kept():
        first = kept.of(one)
        assert kept.of(one) is first and kept.of(other) is not first
        assert one.ended == other.ended == []
    assert one.made == one.ended == [first] and len(other.ended) == 1


def test_a_run_that_fails_closes_all_as_well(one: type[Thing], monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(Thing):
        made: list[Thing] = []

        def close(self) -> None:
            raise OSError("it does not end")

    with pytest.raises(OSError, match="does not end"), kept.Kept():
        kept.of(one)
        kept.of(Stuck)
        raise KeyboardInterrupt
    assert one.ended == one.made != []


def test_all_threads_of_a_run_find_the_same_and_no_other_run_does(one: type[Thing]) -> None:
    with kept.Kept():
        found = side_by_side(*[lambda: kept.of(one)] * 20)
        with kept.Threads(4) as pool:
            found += [*pool.map(lambda _: kept.of(one), range(20))]
        thread = kept.thread(lambda: found.append(kept.of(one)))
        thread.start()
        thread.join()
        assert {id(each) for each in found} == {id(kept.of(one))} and len(found) == 41
        with kept.Kept():
            assert kept.of(one) is not found[0]
        assert kept.of(one) is found[0] and len(one.ended) == 1


def test_what_is_done_later_ends_before_what_it_uses(one: type[Thing]) -> None:
    go_on, used = threading.Event(), []

    def work(what: str) -> None:
        go_on.wait(10)
        used.append((what, kept.of(one), [*one.ended]))

    with kept.Kept():
        kept.later(work, "it")
        thing = kept.of(one)
        assert used == []
        go_on.set()
    assert used == [("it", thing, [])] and one.ended == [thing]


def test_a_question_is_asked_once_in_a_run() -> None:
    asked: list[object] = []

    @kept.once
    def question(of: str = "x") -> int:
        asked.append(of)
        return len(asked)

    with kept.Kept():
        assert [question(), question(), question("y"), question(of="y"), question("y")] == [1, 1, 2, 3, 2]
    with kept.Kept():
        assert question() == 4
