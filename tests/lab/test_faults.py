"""A small part of `make faults`: a few moves of each kind that something breaks into at a random moment."""

import json
import subprocess
import sys
from pathlib import Path

from tests.lab.handles import Lab

REPOSITORY = Path(__file__).parents[2]


def test_whatever_breaks_a_move_ends_right(lab: Lab, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lab.faults", "--random", "4", "--pairs", "1", "--seed", "7"]
    report = tmp_path / "faults.json"

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, "--report", str(report)], cwd=REPOSITORY, capture_output=True, text=True)

    done = lab.at_home(run)
    print(done.stdout, done.stderr)
    outcomes = json.loads(report.read_text())["outcomes"]
    assert len(outcomes) == 4 and [one["wrong"] for one in outcomes] == [[]] * 4
    assert done.returncode == 0
