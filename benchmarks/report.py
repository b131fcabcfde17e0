"""Tables, figures and the machine they were measured on."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
FILE = ROOT / "reports" / "bench.json"


@dataclass(frozen=True)
class Figure:
    """One measured value. `aim` is the bound that was set, in words such as "< 30"; `met` is None where there is
    none. `beside`: what else was measured in the same run, by the name of the other way."""

    name: str
    value: float
    unit: str
    aim: str | None = None
    met: bool | None = None
    beside: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """What a benchmark prints. `notes` say how it was measured and what a figure does not tell."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]

    def __str__(self) -> str:
        widths = [max(len(cells[i]) for cells in (self.columns, *self.rows)) for i in range(len(self.columns))]

        def text(cells: tuple[str, ...]) -> str:
            return "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])])

        lines = [self.title, "", text(self.columns), "  ".join("-" * width for width in widths)]
        return "\n".join([*lines, *map(text, self.rows), "", *self.notes])


@dataclass(frozen=True)
class Seconds:
    """Some runs of the same thing."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """The run in the middle."""
        return median(self.runs)

    @property
    def worst(self) -> float:
        """The longest."""
        return max(self.runs)

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.worst:.3g})"


def machine() -> str:
    """One line on the machine."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").open() if line.startswith("model name")),
        platform.machine(),
    )
    cores = sum(line.startswith("processor") for line in Path("/proc/cpuinfo").open())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return f"{cpu}, {cores} cores, {memory:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"


def commit() -> str:
    """The commit that is checked out, with "+" when files differ from it; "unknown" outside of git."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return name + ("+" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*argv: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *argv], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(figures: dict[str, tuple[Figure, ...]], file: Path = FILE) -> None:
    """Write the figures of the tables that ran. What the file has of other tables stays, if it was measured on
    this machine at this commit."""
    here = {"machine": machine(), "commit": commit()}
    earlier = []
    if file.exists():
        before = json.loads(file.read_text())
        if all(before.get(key) == value for key, value in here.items()):
            earlier = [figure for figure in before["figures"] if figure["name"].split(".")[0] not in figures]
    new = [{**asdict(figure), "name": f"{table}.{figure.name}"} for table, some in figures.items() for figure in some]
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({**here, "figures": [*earlier, *new]}, indent=2) + "\n")
