"""Whatever is laid down on a fresh server, or written by the agent, is the layout's own: nobody has to sign for it."""

import os
import re
from pathlib import Path

import pytest

from include.agent.layouts.native import own
from include.agent.unclaimed import debian, packages
from include.catalogue import infrastructures
from include.machines import MachineSpec, laid_down

ROOT = Path(__file__).parents[5]
INFRASTRUCTURES = [one.name for one in infrastructures.load().values() if one.layout == "native"]
SPEC = MachineSpec("vps-1", "10.20.0.11", "10.30.0.11", "fd30::11", "10.30.0.1", "fd30::1")


@pytest.fixture(scope="module")
def places() -> re.Pattern[bytes]:
    return packages.matching((*debian.PLACES, *own.PLACES))


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


@pytest.mark.parametrize("infrastructure", INFRASTRUCTURES)
def test_what_is_laid_down_is_its_own(infrastructure: str, places: re.Pattern[bytes]) -> None:
    laid = [file.path for file in laid_down.files(SPEC, infrastructure, "ssh-ed25519 AAAA ops", [], "192.0.2.54")]
    for tree in laid_down.trees(infrastructure):
        laid += [f"/{path.relative_to(tree)}" for path in tree.rglob("*") if _is_plain(path)]
    assert len(laid) > 20
    assert [path for path in laid if not places.match(os.fsencode(path))] == [], "name it in layouts/native/own.py"


def test_what_the_agent_writes_outside_its_own_folders_is_its_own(places: re.Pattern[bytes]) -> None:
    """Every path of /etc and /usr that its code names whole."""
    named = {
        path
        for file in (ROOT / "include" / "agent").rglob("*.py")
        if "unclaimed" not in file.parts
        for path in re.findall(r'write_if_changed\(Path\("(/[^"]+)"\)(?! /)', file.read_text())
    }
    assert len(named) > 3
    assert [path for path in sorted(named) if not places.match(os.fsencode(path))] == []
