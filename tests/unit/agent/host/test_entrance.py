"""The orchestrator's way in: its key beside the host's own, and what cannot be, told by one word."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.agent.host import entrance

LINE = 'restrict,command="/launcher" ssh-ed25519 AAAAC3Nz'
HOSTS = b'from="10.0.0.1" ssh-rsa AAAAB3 caf\xe9\r\n\n# ssh-ed25519 AAAAC3Nz was here once\nssh-ed25519 AAAAother ops'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(entrance, "KEYS", str(tmp_path / "ssh" / "authorized_keys"))
    monkeypatch.setattr(entrance, "LAUNCHER", str(tmp_path / "lib" / "launcher"))
    monkeypatch.setattr(entrance, "LOCK", str(tmp_path / "run" / "lock"))
    return tmp_path


def test_a_key_is_added_and_nothing_else_changes(root: Path) -> None:
    keys = root / "ssh" / "authorized_keys"
    keys.parent.mkdir()
    keys.write_bytes(HOSTS)
    done = entrance.let_in("the launcher", LINE)
    assert done == {"changed": [entrance.LAUNCHER, entrance.KEYS]}
    assert keys.read_bytes() == HOSTS + b"\n" + LINE.encode() + b"\n"
    assert Path(entrance.LAUNCHER).read_text() == "the launcher"
    assert os.stat(entrance.LAUNCHER).st_mode & 0o777 == 0o755
    assert entrance.let_in("the launcher", LINE) == {"changed": []}
    keys.write_bytes(HOSTS + b"\n" + LINE.encode() + b" ops of the host\n")
    assert entrance.let_in("the launcher", LINE) == {"changed": []}, "a comment behind it is nothing"
    assert entrance.let_in("a newer one", LINE) == {"changed": [entrance.LAUNCHER]}


def test_a_server_without_keys_gets_the_one(root: Path) -> None:
    assert entrance.KEYS in entrance.let_in("x", LINE)["changed"]
    keys = Path(entrance.KEYS)
    assert keys.read_text() == f"{LINE}\n" and keys.stat().st_mode & 0o777 == 0o600


def test_where_the_host_keeps_its_keys_elsewhere_they_stay_there(root: Path) -> None:
    (root / "ssh").mkdir()
    (root / "kept").write_bytes(HOSTS)
    Path(entrance.KEYS).symlink_to(root / "kept")
    entrance.let_in("x", LINE)
    assert Path(entrance.KEYS).is_symlink() and (root / "kept").read_bytes().endswith(LINE.encode() + b"\n")


@pytest.mark.parametrize("there", [b"ssh-ed25519 AAAAC3Nz ops", b'command="sh" ssh-ed25519 AAAAC3Nz'])
def test_a_key_that_is_there_with_other_rights_is_told(root: Path, there: bytes) -> None:
    (root / "ssh").mkdir()
    Path(entrance.KEYS).write_bytes(b"ssh-ed25519 AAAAother ops\n" + there + b"\n")
    done = entrance.let_in("x", LINE)
    assert done == {"failed": "key_there", "where": f"{entrance.KEYS}, line 2"}
    assert not Path(entrance.LAUNCHER).exists() and there in Path(entrance.KEYS).read_bytes()


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.EROFS, "read_only"),
        (errno.ENOSPC, "no_room"),
        (errno.EDQUOT, "no_room"),
        (errno.EPERM, "forbidden"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_what_cannot_be_written_is_told_by_a_word(root: Path, monkeypatch, number: int, word: str) -> None:
    def fail(path: str, *_: object) -> None:
        raise OSError(number, "no", path)

    monkeypatch.setattr(entrance, "replace", fail)
    assert entrance.let_in("x", LINE) == {"failed": word, "where": entrance.LAUNCHER}


def test_it_runs_alone_and_is_read_by_an_old_python(root: Path) -> None:
    source = Path(entrance.__file__).read_text()
    call = f"\n{'KEYS'} = {entrance.KEYS!r}\nLAUNCHER = {entrance.LAUNCHER!r}\nLOCK = {entrance.LOCK!r}\n"
    asked = call + f"main({{'launcher': 'x', 'line': {LINE!r}}})\n"
    argv = [sys.executable, "-I", "-"]
    done = subprocess.run(argv, input=(source + asked).encode(), capture_output=True, check=True, cwd="/")
    assert done.stdout.count(b"\n") == 1 and b"changed" in done.stdout and done.stderr == b""
    looked = subprocess.run(argv, input=f"{source}\nmain({{}})\n".encode(), capture_output=True, check=True, cwd="/")
    assert b'"python"' in looked.stdout
