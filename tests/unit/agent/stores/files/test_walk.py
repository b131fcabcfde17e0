"""The walk over what a customer has made to stop it, or to wear it out."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from include.agent.stores.files import walk as files_walk

BLOCK = files_walk._BLOCK
LEASING = """
import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
time.sleep(float(sys.argv[2]))
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
time.sleep(100)
"""


def walked(root: Path) -> files_walk.Walk:
    walk = files_walk.Walk({})
    walk.tree(os.fsencode(root))
    return walk


def content(walk: files_walk.Walk, path: bytes) -> bytes:
    return next(line.split(b"\t")[7] for line in walk.lines() if line.startswith(path + b"\t"))


@pytest.mark.parametrize(
    "pieces",
    [
        [(0, b"x" * (3 * BLOCK + 5))],
        [(0, b"")],
        [(0, b"a"), (5 * BLOCK, b"b"), (9 * BLOCK, b"\0" * BLOCK)],
        [(2 * BLOCK - 3, b"over an edge")],
        [(BLOCK, b"\0" * BLOCK), (3 * BLOCK, b"z" * BLOCK)],
        [(4 * BLOCK, b"\0")],
        [(0, b"\0" * BLOCK)],
    ],
)
def test_holes_are_what_their_zeros_are(pieces: list[tuple[int, bytes]], tmp_path: Path) -> None:
    end = max(at + len(piece) for at, piece in pieces)
    whole = bytearray(end)
    with open(tmp_path / "holes", "wb") as holes:
        for at, piece in pieces:
            whole[at : at + len(piece)] = piece
            os.pwrite(holes.fileno(), piece, at)
    (tmp_path / "full").write_bytes(whole)
    walk = walked(tmp_path)
    assert content(walk, b"holes") == content(walk, b"full")
    if b"\0" * BLOCK not in whole:
        assert content(walk, b"full").decode() == hashlib.sha256(whole).hexdigest()[:32]
    moved = bytes(BLOCK) + whole
    (tmp_path / "moved").write_bytes(moved[: max(end, 1)])
    (tmp_path / "other").write_bytes(moved)
    again = walked(tmp_path)
    lines = {line.split(b"\t")[0]: line.split(b"\t")[6:8] for line in again.lines() if b"\tf\t" in line}
    assert (lines[b"moved"] == lines[b"full"]) == (moved[: max(end, 1)] == whole) and lines[b"other"] != lines[b"full"]


def test_a_file_of_terabytes_that_uses_nothing_takes_no_time(tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as sparse:
        sparse.truncate(8 << 40)
        os.pwrite(sparse.fileno(), b"x", 7 << 40)
    began = time.monotonic()
    walked(tmp_path)
    assert time.monotonic() - began < 5


def test_an_entry_of_a_walk_takes_few_hundred_bytes(tmp_path: Path) -> None:
    for number in range(20_000):
        os.mkdir(tmp_path / f"{number}")
    code = (
        "import os, resource, sys; from include.agent.stores.files.walk import Walk\n"
        "def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "before = most(); walk = Walk({}); walk.tree(os.fsencode(sys.argv[1]))\n"
        "for _ in walk.rows(): pass\n"
        "print((most() - before) // len(walk.entries))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 700


def test_directories_deeper_than_any_path_are_walked(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    before = os.getcwd()
    try:
        os.chdir(home)
        for _ in range(1_990):
            os.mkdir("d")
            os.chdir("d")
        Path("f").write_text("x")
        os.chdir(home)
        for _ in range(20):
            os.mkdir("e" * 250)
            os.chdir("e" * 250)
        Path("f").write_text("x")
    finally:
        os.chdir(before)
    walk = walked(home)
    assert content(walk, b"d/" * 1_990 + b"f") == hashlib.sha256(b"x").hexdigest()[:32].encode()
    assert "below a path of more than 4,000 bytes" in walk.left
    assert os.getcwd() == before
    subprocess.run(["rm", "-rf", home], check=True)


def test_a_lease_that_ends_is_waited_for_and_one_that_stays_is_told(tmp_path: Path, monkeypatch) -> None:
    for seconds in (0.5, 100):
        argv = [sys.executable, "-c", LEASING, str(tmp_path / "leased\nfile"), str(seconds)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as holder:
            assert holder.stdout and holder.stdout.readline() == b"leased\n"
            try:
                if seconds < 1:
                    walked(tmp_path)
                else:
                    monkeypatch.setattr(files_walk, "_PATIENCE", 1.0)
                    with pytest.raises(files_walk.Unread, match=r"leased\\nfile: a program holds a lease on it"):
                        walked(tmp_path)
            finally:
                holder.kill()


def test_what_cannot_be_read_is_told_with_its_path(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "broken").write_text("x")

    def fails(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files_walk.os, "pread", fails)
    with pytest.raises(files_walk.Unread, match="^broken: Input/output error$"):
        walked(tmp_path)
