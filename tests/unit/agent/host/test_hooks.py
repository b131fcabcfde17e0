"""A hook of the host's: what it is given, what its end means, and that nobody but root can have put it there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from include.agent.host import hooks
from include.agent.host.system import Refused
from tests.support.own_steps import take_for_roots

GIVEN = {"account": "shop", "direction": "out", "from": "vps-1", "to": "transit-1", "move": "m1", "engine": None}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of hooks. Whoever owns it in a test is root here, and the folders above it are left out."""
    folder = tmp_path / "hooks"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(hooks, "HOOKS", folder)
    take_for_roots(folder, monkeypatch)
    return folder


def put(folder: Path, script: str, mode: int = 0o755, name: str = "before-move") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


def refused(name: str = "before-move", **more: float) -> Refused:
    with pytest.raises(Refused) as told:
        hooks.run(name, GIVEN, **more)
    return told.value


def test_a_host_without_hooks_is_asked_nothing(folder):
    assert hooks.run("before-move", GIVEN) is False
    folder.rmdir()
    assert hooks.run("before-move", GIVEN) is False


def test_it_gets_one_json_object_and_a_plain_environment(folder, monkeypatch):
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", "serve")
    put(folder, f"cat > {folder}/given; env > {folder}/env; pwd > {folder}/pwd")
    assert hooks.run("before-move", GIVEN) is True
    lines = (folder / "given").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [GIVEN]
    assert "SSH_ORIGINAL_COMMAND" not in (folder / "env").read_text()
    assert (folder / "pwd").read_text() == "/\n"


def test_one_that_does_not_read_what_it_is_given_agrees_all_the_same(folder):
    put(folder, "exit 0")
    assert hooks.run("before-move", {**GIVEN, "more": "x" * 1_000_000}) is True


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("echo 'The backup runs until 06:00.'; exit 1", "The backup runs until 06:00."),
        ("echo; echo '  second  '; echo third; exit 3", "second"),
        ("echo 'not there' >&2; exit 2", "not there"),
        ("exit 7", "(nothing; it ended with 7)"),
        ("kill -9 $$", "(nothing; it ended with -9)"),
        (r"""printf 'a "quoted" \033[31m\300 word\n'; exit 1""", "a 'quoted' \\x1b[31m\ufffd word"),
        ("head -c 5000 /dev/zero | tr '\\0' x; exit 1", "x" * 300),
    ],
)
def test_its_first_line_is_quoted_as_the_hosts_own_word(folder, script, line):
    path = put(folder, script)
    told = refused()
    assert (told.code, told.message) == ("hook_refused", f'The host\'s hook {path} says: "{line}"')


def test_one_that_does_not_end_is_ended_with_all_that_it_started(folder):
    put(folder, f"(sleep 2; touch {folder}/late) & sleep 30")
    began = time.monotonic()
    told = refused(seconds=0.3)
    assert told.code == "hook_failed" and "did not end within 0.3 s" in told.message
    assert time.monotonic() - began < 10
    time.sleep(2.5)
    assert not (folder / "late").exists()


def test_one_that_talks_without_end_is_ended(folder):
    put(folder, "yes")
    told = refused()
    assert told.code == "hook_failed" and "more than 64 KB" in told.message


def test_one_that_no_kernel_can_start_is_told(folder):
    put(folder, "").write_text("no program\n")
    assert "cannot be started" in refused().message


@pytest.mark.parametrize(
    ("mode", "why"), [(0o775, "written by others"), (0o757, "written by others"), (0o644, "not executable")]
)
def test_what_others_may_write_is_not_run(folder, mode, why):
    put(folder, f"touch {folder}/ran", mode)
    told = refused()
    assert told.code == "hook_unsafe" and why in told.message
    assert not (folder / "ran").exists()


def test_a_folder_that_others_may_write_has_no_hooks(folder):
    put(folder, "exit 0")
    folder.chmod(0o777)
    assert f"{folder} can be written by others than root" in refused().message


def test_no_link_is_a_hook_and_none_leads_to_one(folder, tmp_path, monkeypatch):
    real = put(folder, "exit 0", name="real")
    (folder / "before-move").symlink_to(real)
    assert "is no ordinary file" in refused().message
    (folder / "before-move").unlink()
    (folder / "before-move").symlink_to("/nowhere")
    assert "is no ordinary file" in refused().message
    inside = folder / "inside"
    inside.symlink_to(folder)
    monkeypatch.setattr(hooks, "HOOKS", inside)
    assert "is no directory" in refused("real").message


def test_what_is_another_users_is_not_run(folder, monkeypatch):
    path = put(folder, "exit 0")
    look = os.lstat
    monkeypatch.setattr(
        os, "lstat", lambda part: SimpleNamespace(st_mode=look(part).st_mode, st_uid=1000 * (part == path))
    )
    assert "is not root's" in refused().message
