"""`python -m benchmarks [ONLY=name]`: all tables, or one."""

from __future__ import annotations

import sys

from benchmarks import billing, report

TABLES = {"billing": billing.run}


def main(argv: list[str]) -> int:
    """Run, print, write; the status is 1 when an aim was missed."""
    chosen = [word.removeprefix("ONLY=") for word in argv]
    unknown = [name for name in chosen if name not in TABLES]
    if unknown:
        print(f"There is no benchmark {unknown[0]!r}: choose of {', '.join(TABLES)}.", file=sys.stderr)
        return 2
    figures = {}
    for name in chosen or TABLES:
        table = TABLES[name](lambda text: print(f"  {text}", file=sys.stderr, flush=True))
        print(f"\n{table}\n", flush=True)
        figures[name] = table.figures
    report.write(figures)
    print(f"{report.machine()}; commit {report.commit()}; figures in {report.FILE.relative_to(report.ROOT)}")
    missed = [figure for some in figures.values() for figure in some if figure.met is False]
    for figure in missed:
        print(f"Missed: {figure.name} is {figure.value:g} {figure.unit}, the aim is {figure.aim}.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
