"""Programs that answer without end, or that never end: what is kept of them, and what is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from include.agent.host import bounded, system

ROOT = Path(__file__).parents[4]


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_what_goes_in_and_comes_out_is_whole() -> None:
    data = bytes(range(256)) * 20_000
    both = python(
        "import sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(d); sys.stderr.write('said'); sys.exit(3)"
    )
    done = bounded.answer(both, data, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (3, data, b"said")
    assert bounded.answer(["cat"], timeout=30).stdout == b""
    assert bounded.answer(["true"], data, timeout=30).returncode == 0, "nobody reads it"


@pytest.mark.parametrize("where", ["stdout", "stderr"])
def test_an_answer_without_end_is_cut_off(where: str) -> None:
    endless = python(f"import sys\nwhile True: sys.{where}.write('x' * 65536)")
    with pytest.raises(bounded.TooMuch):
        bounded.answer(endless, timeout=30, most=1 << 20)


def test_what_does_not_end_is_ended_with_what_it_has_started() -> None:
    argv = ["sh", "-c", "sleep 987.5 & sleep 987.5"]
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        bounded.answer(argv, timeout=0.3, start_new_session=True)
    assert time.monotonic() - began < 5
    time.sleep(0.2)
    assert subprocess.run(["pgrep", "-f", "^sleep 987.5$"], capture_output=True).stdout == b""


def test_what_cannot_be_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a program that waits for a disk which does not answer: signals reach it when that does."""
    started: list[int] = []
    monkeypatch.setattr(bounded.os, "killpg", lambda pid, _number: started.append(pid))
    monkeypatch.setattr(subprocess.Popen, "kill", lambda _process: None)
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        bounded.answer(["sleep", "30"], timeout=0.2, start_new_session=True)
    assert time.monotonic() - began < 5
    os.kill(started[0], signal.SIGKILL)
    os.waitpid(started[0], 0)


def test_a_refusal_says_which_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded.answer, "__kwdefaults__", {"most": 1000})
    with pytest.raises(system.Refused, match="^head answered more than 128 MB and was ended"):
        system.run(["head", "-c", "100000", "/dev/zero"])
    with pytest.raises(system.Refused, match="^sleep did not end within 0 s"):
        system.run(["sleep", "60"], timeout=0.2)


def test_who_reads_what_customers_wrote_has_so_much_memory_and_writes_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; from include.agent.host import bounded; bounded.limit_this_process(256 << 20)\n"
        "kept = bytearray(64 << 20)\n"
        "try: bytearray(512 << 20)\n"
        "except MemoryError: print('no memory')\n"
        "try: open(sys.argv[1], 'w').write('x' * 100_000)\n"
        "except OSError: print('no file')\n"
    )
    done = subprocess.run(
        [*python(program), str(tmp_path / "file")], cwd=ROOT, capture_output=True, text=True, preexec_fn=_heed_size
    )
    assert (done.stdout, done.returncode) == ("no memory\nno file\n", 0), done.stderr
    assert (tmp_path / "file").stat().st_size == 0


def _heed_size() -> None:
    """A file that would grow too large is an error then, and not the end."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
