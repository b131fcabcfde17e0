"""`python -m benchmarks [ONLY=name,...] [RUNS=n] [SIZES=10,100]`: all tables, or some."""

from __future__ import annotations

import signal
import sys
import time
from functools import partial

from benchmarks import billing, copying, ips, names, orchestrator, report, switchover
from benchmarks.options import Options
from include.hosts import AgentError, HostUnreachable
from include.machines import MachineError
from include.registry import RegistryRefused
from lab.accounts import FillError
from lab.say import LabError

TABLES = {
    "switchover": switchover.run,
    "ips": ips.run,
    "names": names.run,
    "copy": copying.run_copy,
    "verify": copying.run_verify,
    "orchestrator": orchestrator.run,
    "billing": billing.run,
}


def main(argv: list[str]) -> int:
    """Run, print, write; the status is 1 when an aim was missed."""
    # Ended in order: servers that were claimed are wiped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()

    def progress(table: str, text: str) -> None:
        print(f"  {time.monotonic() - began:6.0f} s  {table}: {text}", file=sys.stderr, flush=True)

    try:
        options = Options.parse(argv, list(TABLES))
        figures = {}
        for name in options.only or TABLES:
            table = TABLES[name](options, partial(progress, name))
            print(f"\n{table}\n", flush=True)
            figures[name] = table.figures
            report.write({name: table.figures})
    except (ValueError, LabError, FillError, MachineError, AgentError, HostUnreachable, RegistryRefused) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(f"{report.machine()}; commit {report.commit()}; figures in {report.FILE.relative_to(report.ROOT)}")
    missed = [figure for some in figures.values() for figure in some if figure.met is False]
    for figure in missed:
        print(f"Missed: {figure.name} is {figure.value:g} {figure.unit}, the aim is {figure.aim}.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
