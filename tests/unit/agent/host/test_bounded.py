"""Programs that answer without end, or that never end: what is kept of them, and what is left running."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from include.agent.host import bounded, system


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


def test_a_refusal_says_which_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded.answer, "__kwdefaults__", {"most": 1000})
    with pytest.raises(system.Refused, match="^head answered more than 128 MB and was ended"):
        system.run(["head", "-c", "100000", "/dev/zero"])
    with pytest.raises(system.Refused, match="^sleep did not end within 0 s"):
        system.run(["sleep", "60"], timeout=0.2)
