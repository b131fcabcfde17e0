"""Each command of the page that a host follows on its first day is one of the command line's, as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from cli import commands

PAGE = (Path(__file__).parents[3] / "docs" / "adopting.md").read_text()
COMMANDS = [
    line.removeprefix("    python -m cli ") for line in PAGE.splitlines() if line.startswith("    python -m cli")
]
STEPS = ("inventory plan", "inventory apply", "enrol", "doctor", "prepare", "discover", "adopt", "test", "perform")
"""In this order a host goes."""


def parsed(words: list[str]) -> list[str]:
    """The names of the command that the words lead to; Typer's own complaint where they lead to none."""
    command: Any = typer.main.get_command(commands.app)
    names: list[str] = []
    context = command.make_context("cli", words)
    while isinstance(command, TyperGroup):
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, words, parent=context)
        assert name is not None
        names.append(name)
    return names


@pytest.mark.parametrize("line", COMMANDS)
def test_it_is_a_command(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "host.yaml").write_text("sites: []\n")
    names = " ".join(parsed(shlex.split(line)))
    assert names and line.startswith(names)


@pytest.mark.parametrize("line", ["prepared vps-1", "adopt vps-1", "doctor", "perform web1 --longest-wait soon"])
def test_what_is_none_is_found_out(line: str) -> None:
    with pytest.raises(TyperException):
        parsed(shlex.split(line))


def test_the_page_leads_through_every_step_in_order() -> None:
    places = [next(at for at, line in enumerate(COMMANDS) if line.startswith(f"{step} ")) for step in STEPS]
    assert places == sorted(places)


def test_the_settings_that_it_names_are_those_that_are_changed() -> None:
    from include.agent.layouts.classic import led_dovecot, led_postfix

    (row,) = [line for line in PAGE.splitlines() if line.startswith("| Postfix")]
    assert re.findall(r"`(\w+_(?:maps|domains))`", row) == [*led_postfix._FIRST]
    assert f"`{led_dovecot.OURS}`" in PAGE
