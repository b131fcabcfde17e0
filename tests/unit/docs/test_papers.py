"""What the papers say of the tree is so: their links, paths and commands lead somewhere, and they keep their form."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAPERS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
FOLDERS = [path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
MADE = ("reports/",)
"""What a run makes, and no checkout has."""

_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*")
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
_MODULE = re.compile(r"python (?:-m ([\w.]+)|(\S+\.py))")
_TARGET = re.compile(r"\bmake ([a-z-]+)\b")


@pytest.fixture(params=PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def paper(request):
    return request.param


def prose(text):
    """Without code and tables, whose lines may be longer."""
    return [line for line in _FENCED.sub("", text).splitlines() if not line.startswith(("|", "    "))]


def commands(text):
    """What stands in code: between backticks, in fenced blocks and in indented ones."""
    indented = [line for line in text.splitlines() if line.startswith("    ")]
    return "\n".join([*_CODE.findall(_FENCED.sub("", text)), *_FENCED.findall(text), *indented])


def test_the_readme_is_read_in_three_minutes():
    assert len((ROOT / "README.md").read_text().split()) <= 700


def test_lines_are_100_characters_at_most(paper):
    assert [line for line in prose(paper.read_text()) if len(line) > 100] == []


def test_links_lead_somewhere(paper):
    links = _LINK.findall(paper.read_text())
    assert [link for link in links if not (paper.parent / link).exists()] == []


def test_paths_are_there(paper):
    found = {path.rstrip(".") for path in _PATH.findall("\n".join(_CODE.findall(paper.read_text())))}
    assert [path for path in found if not path.startswith(MADE) and not (ROOT / path).exists()] == []


def test_what_is_said_to_have_been_tried_is_tried_by_a_test():
    tried = (ROOT / "docs/security.md").read_text().partition("## What was tried")[2]
    rows = [line for line in tried.splitlines() if line.startswith("| ")][1:]
    assert rows and [row for row in rows if not re.search(r"`tests/[\w/]+/test_\w+\.py`", row)] == []


def test_commands_are_there(paper):
    text = commands(paper.read_text())
    for module, script in _MODULE.findall(text):
        assert find_spec(module) if module else (ROOT / script).exists(), f"{module or script} is not there"
    targets = {*re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)}
    assert {*_TARGET.findall(text)} <= targets
