"""A layout is a package that has what the others of the agent ask for; each server has its own."""

from __future__ import annotations

import ast
import inspect
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from include.agent import layouts

AGENT = Path(layouts.__file__).parents[1]


def others() -> list[tuple[Path, list[ast.AST]]]:
    """Every module of the agent that belongs to no layout, with what stands in it."""
    paths = [path for path in AGENT.rglob("*.py") if "layouts" not in path.relative_to(AGENT).parts]
    return [(path, [*ast.walk(ast.parse(path.read_text()))]) for path in paths]


def asked() -> set[tuple[str, str]]:
    """Each (part, name) that the agent's other packages use of a layout."""
    found = set()
    for _, nodes in others():
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "layouts"]
        parts = {alias.name for node in imports for alias in node.names} & {*layouts.__all__}
        for node in nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in parts:
                found.add((node.value.id, node.attr))
    return found


def test_nobody_asks_for_a_layout_by_its_name() -> None:
    named = [
        str(path)
        for path, nodes in others()
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("layouts.")
    ]
    assert named == []


@pytest.mark.parametrize("layout", layouts.KNOWN)
def test_every_layout_has_what_is_asked_of_one(layout: str) -> None:
    assert len(asked()) > 30
    for part, name in asked():
        theirs = getattr(import_module(f"{layouts.__name__}.{layout}.{part}"), name)
        native = getattr(import_module(f"{layouts.__name__}.native.{part}"), name)
        if inspect.isfunction(native):
            wanted, has = (
                {key.lstrip("_"): each for key, each in inspect.signature(one).parameters.items()}
                for one in (native, theirs)
            )
            assert [*has][: len(wanted)] == [*wanted], (part, name)
            assert all(has[key].default is not inspect.Parameter.empty for key in [*has][len(wanted) :]), (part, name)


def test_a_server_has_the_layout_that_its_file_names(tmp_path: Path) -> None:
    shutil.copytree(AGENT, tmp_path / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    made_up = tmp_path / "agent" / "layouts" / "apache"
    shutil.copytree(made_up.with_name("native"), made_up)

    assert front_of(tmp_path, None) == "native"
    assert front_of(tmp_path, "apache\n") == "apache"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        front_of(tmp_path, "../native")
    assert "is no layout of this agent: use apache or classic or native." in refused.value.stderr


def front_of(folder: Path, word: str | None) -> str:
    """Which front the agent has whose package lies there."""
    file = folder / "layout"
    if word is not None:
        file.write_text(word)
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(folder)!r})
from agent.host import system
system.AGENT = Path({str(folder / "agent.pyz")!r})
from agent.move import redirect
print(redirect.front.__name__.split(".")[2])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.strip()
