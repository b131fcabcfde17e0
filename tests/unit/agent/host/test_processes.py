"""Ending an account's processes: whatever they do meanwhile, nothing of them writes afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.agent.host import processes, system

UID, NEIGHBOUR, SUBORDINATE = 54321, 54322, 54400
RUNS = 4
PRELUDE = """
import ctypes, os, signal, sys, threading, time
def write():
    with open(sys.argv[1], "w") as file: file.write(repr(time.time()))
def go_on():
    while True:
        write(); time.sleep(0.002)
def chain():
    while True:
        if os.fork(): os._exit(0)
        os.setsid(); write()
def become(*uids):
    os.setgroups([]); os.setresuid(*uids)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # its files in /proc are its own again
    signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGCHLD, signal.SIG_IGN)
"""
OWN = f"become({UID}, {UID}, {UID})\n"
KINDS = {
    "a program that ends when it is asked": f"become({UID}, {UID}, {UID}); signal.signal(15, signal.SIG_DFL); go_on()",
    "a chain of forks": OWN + "chain()",
    "a daemon": OWN + "for _ in range(2):\n    if os.fork(): os._exit(0)\n    os.setsid()\ngo_on()",
    "a bomb": OWN + "for _ in range(6): os.fork()\ngo_on()",
    "one whose first thread has ended": OWN
    + "threading.Thread(target=go_on).start(); ctypes.CDLL(None).pthread_exit(None)",
    "a set-user-id program that a neighbour runs": f"become({NEIGHBOUR}, {UID}, {UID}); chain()",
    "one with the account's rights for files alone": f"become({NEIGHBOUR}, {UID}, {NEIGHBOUR}); go_on()",
    "one that can take the rights again": f"become({NEIGHBOUR}, {NEIGHBOUR}, {UID}); os.seteuid({UID}); chain()",
    "a subordinate user's": f"become({SUBORDINATE}, {SUBORDINATE}, {SUBORDINATE}); go_on()",
    # As newuidmap makes it: a user namespace of the account's, in it a user that is another one outside.
    "a subordinate user's in a namespace": f"""
ready, told = os.pipe(); mapped, done = os.pipe()
if child := os.fork():
    os.read(ready, 1)
    open(f"/proc/{{child}}/uid_map", "w").write("0 {UID} 1\\n1 {SUBORDINATE} 10\\n")
    os.write(done, b"1"); os._exit(0)
become({UID}, {UID}, {UID})
assert ctypes.CDLL(None).unshare(0x10000000) == 0
os.write(told, b"1"); os.read(mapped, 1)
os.setresuid(1, 1, 1); chain()
""",
}


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that anybody may write to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    (folder / "subuid").write_text(f"somebody:100000:65536\nalice:{SUBORDINATE}:100\n")
    (folder / "late").touch()
    (folder / "late").chmod(0o666)
    monkeypatch.setattr(processes, "RUNTIME", folder / "run")
    monkeypatch.setattr(processes, "_SUBORDINATE", folder / "subuid")
    yield folder / "late"
    for uid in (UID, NEIGHBOUR, SUBORDINATE):
        processes._signal_all(uid, signal.SIGKILL)
    shutil.rmtree(folder)


def begin(code: str, late: Path) -> None:
    late.write_text("")
    subprocess.Popen([sys.executable, "-c", PRELUDE + code, str(late)], start_new_session=True)
    end = time.monotonic() + 20
    while not late.read_text():
        assert time.monotonic() < end, "it never wrote"
        time.sleep(0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_it_writes_afterwards(kind: str, late: Path) -> None:
    for _ in range(RUNS):
        begin(KINDS[kind], late)
        processes.end_all("alice", UID, patience=0.05)
        ended = time.time_ns()
        time.sleep(0.1)
        assert late.stat().st_mtime_ns <= ended


def test_one_that_was_stopped_ends_too(late: Path) -> None:
    begin(OWN + "go_on()", late)
    processes._signal_all(UID, signal.SIGSTOP)
    assert processes.end_all("alice", UID, patience=0.05) == 1
    assert processes.of_user(UID) == []


def test_neighbours_and_clients_of_databases_go_on(late: Path) -> None:
    others = [subprocess.Popen(["sleep", "60"], user=uid, extra_groups=[]) for uid in (NEIGHBOUR, processes.CLIENT)]
    try:
        begin(OWN + "chain()", late)
        processes.end_all("alice", UID, patience=0.05)
        assert [each.poll() for each in others] == [None, None]
    finally:
        for each in others:
            each.kill()
            each.wait()


def test_who_ends_them_cannot_be_ended_by_them(late: Path) -> None:
    """A process of the account's that ends whatever it can reach, as fast as it can."""
    begin(OWN + "write()\nwhile True:\n    try: os.kill(-1, 9)\n    except OSError: pass", late)
    for _ in range(20):
        processes._signal_all(UID, signal.SIGCONT)
    processes.end_all("alice", UID, patience=0.05)
    assert processes.of_user(UID) == []
    assert os.getpid()


def test_who_reads_with_the_accounts_rights_is_out_of_its_reach(late: Path) -> None:
    """It may open what the account may; a process of the account's neither ends it nor sees its environment."""
    private = late.with_name("private")
    private.write_text("hers")
    os.chown(private, UID, UID)
    private.chmod(0o600)
    reads = f"import os, sys, time; sys.path.insert(0, {str(Path.cwd())!r}); from include.agent.host import processes\n"
    reads += f"processes.become_reader({UID}, {UID}); print(open({str(private)!r}).read(), flush=True)\n"
    reads += "try: open('/etc/shadow')\nexcept PermissionError: print('no more', flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", reads], stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout and [reader.stdout.readline() for _ in range(2)] == ["hers\n", "no more\n"]
        tries = f"os.kill({reader.pid}, 9)", f"os.kill({reader.pid}, 19)", f"open('/proc/{reader.pid}/environ').read()"
        for each in (*tries, f"assert ctypes.CDLL(None, use_errno=True).ptrace(16, {reader.pid}, 0, 0) == 0"):
            done = subprocess.run([sys.executable, "-c", f"{PRELUDE}{OWN}{each}"], capture_output=True, text=True)
            assert "PermissionError" in done.stderr or "AssertionError" in done.stderr, each
        assert reader.poll() is None
        reader.kill()


def test_a_removed_account_leaves_no_program_with_its_rights(late: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than in its home: a set-user-id file, one in a directory of its own, a link; others' files stay."""
    monkeypatch.setattr(system, "RUNTIME", late.parent / "run")
    folder = late.with_name("theirs")
    folder.mkdir()
    (folder / "suid").touch()
    (folder / "link").symlink_to(late)
    for path in (folder, folder / "suid", folder / "link"):
        os.chown(path, UID, UID, follow_symlinks=False)
    os.chmod(folder / "suid", 0o4755)
    letter = Path("/var/mail/nobody-of-this-name")
    letter.write_text("From nobody")
    os.chown(letter, UID, UID)
    os.link(folder / "suid", late.with_name("hard"))
    system.remove_user("nobody-of-this-name", UID, str(late.with_name("home")))
    assert sorted(path.name for path in late.parent.iterdir() if path.name != "run") == ["late", "subuid"]
    assert not letter.exists()
