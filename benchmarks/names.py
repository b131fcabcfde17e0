"""Table 3: what visitors see of a whole migration who resolve names, and who keep to the IPs they know."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.migration import ACCOUNTS, RATE, TTL, Whole, whole
from benchmarks.options import Options
from benchmarks.report import Figure, Table
from benchmarks.visitors import Waits


def run(_options: Options, progress: Callable[[str], None]) -> Table:
    """The visitors of one migration."""
    return table(whole(progress))


def table(seen: Whole) -> Table:
    """The table and its figures."""
    rows, figures = [], []
    for name, label, events in (
        ("resolving", "ask the caching resolver", seen.resolving),
        ("sticking", "keep to the IPs they know", seen.sticking),
    ):
        waits = Waits.of(events, seen.begin, seen.end)
        answered = len({event.get("address") for event in events} - {None})
        row = (label, f"{waits.requests:,}", str(waits.failed), f"{waits.longest:.0f}", f"{waits.p99:.0f}")
        rows.append((*row, str(answered)))
        figures.append(Figure(f"failed_{name}", waits.failed, "requests", "0", waits.failed == 0))
        figures.append(Figure(f"longest_wait_{name}", round(waits.longest, 1), "ms"))
    figures.append(Figure("writes_lost", seen.writes_lost, "writes", "0", seen.writes_lost == 0))
    return Table(
        title="Names: requests during a whole migration, out and home",
        columns=("visitors that", "requests", "failed", "longest wait ms", "p99 ms", "addresses met"),
        rows=tuple(rows),
        notes=(
            f"{ACCOUNTS} accounts with two names each, A and AAAA, TTL {TTL} s before it is lowered; {RATE:g}"
            " request/s of each account by each of the two visitors, HTTP and HTTPS, every request on a connection of"
            " its own.",
            "The resolver is unbound, which keeps every answer for its TTL; the visitor keeps it for that TTL again.",
            f"Acknowledged writes of both that the original does not show at the end: {seen.writes_lost}.",
        ),
        figures=tuple(figures),
    )
