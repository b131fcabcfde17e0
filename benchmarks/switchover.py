"""Table 1: what an account's visitors see of its move, at 10 MB to 4 GB, beside the usual way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks import usual, visitors
from benchmarks.accounts import Sizes, fill
from benchmarks.moves import Move
from benchmarks.options import Options
from benchmarks.report import Figure, Seconds, Table
from benchmarks.stage import Machine, lab, machines, reinstalled, route_changes
from include.agent.verbs.reports import Switched
from include.hosts import AgentError
from lab.accounts.certificates import authority
from lab.say import LabError

SIZES = (10, 100, 1000, 4000)
"""Megabytes."""
RATE = 50
QUIET = 2.0
"""Seconds that visitors ask before and after."""
USUAL_RUNS = {10: 3, 100: 3}
"""One of the others: they take long, and differ little."""
LARGE_BUDGET = 30.0
MEDIAN_AIM, WORST_AIM, GROWTH_AIM = 500.0, 1000.0, 1.5


@dataclass(frozen=True)
class Run:
    """One move as the visitors saw it, and how long its parts took from where operators work."""

    waits: visitors.Waits
    lost: int
    copy_s: float
    before_ms: float
    """The longest wait of the requests that had their answer before the hold began."""
    held_ms: float
    """The hold, by the server's own record."""
    over_budget: str = ""
    """With what the first attempt was refused; then it was performed again with more allowed, as a customer may."""


@dataclass
class Size:
    """Every run of one size."""

    megabytes: int
    upgrade: Run | None = None
    """From infrastructure 2022 to 2026; the others are between two of 2026, which can go both ways."""
    runs: list[Run] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[Run]:
        """With the one between two versions."""
        return [*([self.upgrade] if self.upgrade else []), *self.runs]

    @property
    def refusals(self) -> list[str]:
        """Every refusal, also of those that were then moved with a larger budget."""
        return [*(run.over_budget for run in self.all if run.over_budget), *self.refused]

    @property
    def longest(self) -> Seconds:
        """The longest wait of each run, in ms."""
        return Seconds(tuple(run.waits.longest for run in self.runs))

    @property
    def before(self) -> Seconds:
        """The longest wait of each run before its hold, in ms."""
        return Seconds(tuple(run.before_ms for run in self.runs))

    @property
    def held(self) -> Seconds:
        """The hold of each run, in ms."""
        return Seconds(tuple(run.held_ms for run in self.runs))

    @property
    def name(self) -> str:
        """10 MB, 4 GB."""
        return f"{self.megabytes // 1000} GB" if self.megabytes >= 1000 else f"{self.megabytes} MB"


def run(options: Options, progress: Callable[[str], None]) -> Table:
    """Every size on servers of its own, so that none meets what another left."""
    sizes = []
    with lab():
        for megabytes in options.sizes or SIZES:
            size = Size(megabytes)
            sizes.append(size)
            with machines("2022", "2026", "2026") as (old, new, other_new), route_changes() as route:
                _measure(size, (old, new, other_new), route, options.runs, progress)
    return table(sizes)


def _measure(
    size: Size,
    servers: tuple[Machine, Machine, Machine],
    route: Callable[[list[str]], str],
    runs: int,
    progress: Callable[[str], None],
) -> None:
    old, new, other_new = servers
    progress(f"{size.name}: filling an account")
    statement = fill(old, f"size{size.megabytes}", 2400, Sizes.thirds(size.megabytes)).account_file
    written: set[str] = set()
    places = [old, *[new, other_new] * runs][: runs + 2]
    for number, (source, target) in enumerate(zip(places, places[1:], strict=False)):
        progress(f"{size.name}: run {number} of {runs}: {source.name} to {target.name}")
        move = Move(f"bench-{size.megabytes}-{number}", number + 2, statement, source, target)
        try:
            seen = _run(move, written)
        except AgentError as error:
            size.refused.append(str(error))
            progress(f"{size.name}: refused: {error}")
            return
        waits = seen.waits
        progress(f"{size.name}: longest wait {waits.longest:.0f} ms, {waits.failed} of {waits.requests} failed")
        if number:
            size.runs.append(seen)
        else:
            size.upgrade = seen
    source, target = places[-1], places[-2]
    for number in range(USUAL_RUNS.get(size.megabytes, 1)):
        progress(f"{size.name}: the usual way, run {number + 1}")
        target = reinstalled(target)
        size.outages.append(_usual(statement, source, target, route, written))


def _run(move: Move, written: set[str]) -> Run:
    """One move under load; what is left at the old place is dropped at the end."""
    with load(move.statement, move.source) as seen:
        time.sleep(QUIET)
        began = time.time()
        move.open()
        _, copy_s = move.copy()
        switched, over_budget = _switch(move)
        ended = time.time()
        time.sleep(QUIET)
    written |= visitors.acknowledged(seen)
    gone = visitors.lost(written, f"{move.account}.example", move.target.ips[0])
    move.close()
    assert switched.held_at is not None and switched.held_ms is not None
    before = [event["s"] * 1000 for event in seen if began <= event["t"] + event["s"] <= switched.held_at]
    waits = visitors.Waits.of(seen, began, ended)
    return Run(waits, len(gone), copy_s, max(before, default=0.0), switched.held_ms, over_budget)


def _switch(move: Move) -> tuple[Switched, str]:
    """Switches; one that is over the budget is switched with a larger one. Gives its result, and with what it was
    refused at first."""
    try:
        return move.switch(), ""
    except AgentError as error:
        if error.code != "over_budget":
            raise
        return move.switch(budget_seconds=LARGE_BUDGET), error.message


def _usual(
    statement: dict[str, Any],
    source: Machine,
    target: Machine,
    route: Callable[[list[str]], str],
    written: set[str],
) -> float:
    """Seconds without service; nothing that was acknowledged before may be missing at the target."""
    with usual.trust(source, target) as ssh, load(statement, source) as seen:
        usual.prepare(statement, source, target, ssh)
        time.sleep(QUIET)
        usual.move(statement, source, target, ssh, route)
        time.sleep(QUIET)
    if gone := visitors.lost(written, f"{statement['account']}.example", target.ips[0]):
        raise LabError(f"The usual way has lost {len(gone)} writes, so it cannot be compared: see why.")
    usual.start_again(statement, source, route)
    return visitors.outage(seen)


@contextmanager
def load(statement: dict[str, Any], at: Machine) -> Iterator[list[visitors.Event]]:
    """Visitors of the account, who go to the IPs of one server."""
    where = [word for ip in at.ips for word in ("--address", ip)]
    domain = statement["sites"][0]["domain"]
    site = ["--account", statement["account"], "--domain", domain, "--ca", str(authority())]
    with visitors.probe("load", *site, "--rate", str(RATE), *where) as seen:
        yield seen


def table(sizes: list[Size]) -> Table:
    """The table and its figures."""
    whole = [size for size in sizes if size.runs]
    figures = [figure for size in whole for figure in _figures(size)]
    for size in sizes:
        figures.append(Figure(f"refused_{size.megabytes}MB", len(size.refusals), "moves", "0", not size.refusals))
    by_size = {size.megabytes: size.longest.median for size in whole}
    if SIZES[0] in by_size and SIZES[-1] in by_size:
        growth = round(by_size[SIZES[-1]] / by_size[SIZES[0]], 2)
        figures.append(Figure("longest_wait_4GB_to_10MB", growth, "times", f"<= {GROWTH_AIM:g}", growth <= GROWTH_AIM))
    return Table(
        title=f"Switch-over: what visitors see of a move ({RATE} requests/s, read and write)",
        columns=(
            "account",
            "moves",
            "requests",
            "failed",
            "writes lost",
            "longest wait ms",
            "before the hold ms",
            "hold ms",
            "p99 ms",
            "2022 -> 2026 ms",
            "copy s",
            "usual way: outage s",
            "times shorter",
        ),
        rows=tuple(_row(size) for size in sizes),
        notes=(
            "A third files (13 KB each), a third PostgreSQL, a third MariaDB. Longest wait, copy and outage: median"
            " (worst).",
            "Moves go to and fro between two servers of infrastructure 2026, and the first one, told beside, from 2022"
            " to 2026. Requests are those from the start of the copy to the end of the switch-over, of all moves.",
            "Each server has a processor to itself, and shares the disk with the other; visitors and probes take what"
            " is left of both processors.",
            "Before the hold: the longest wait of a request that had its answer before the hold began, so while the"
            " account was copied and rehearsed. Hold: the server's own record.",
            "Visitors: HTTP and HTTPS, IPv4 and IPv6, half of them on kept connections. A write is acknowledged when it"
            " is in both databases and in a file; lost is one that the new place does not show in all three.",
            "The usual way: stop the account, rsync, pg_dump | pg_restore, mariadb-dump | mariadb, reroute its IPs;"
            " account, roles and databases were made before. The outage is from the first failed request to the"
            f" first good one after the last; {', '.join(_usual_runs(size) for size in sizes)}.",
            "A move whose rehearsal exceeds the budget is refused, and then performed with a larger one.",
            *(f"{size.name}: a move was refused: {text}" for size in sizes for text in size.refusals),
        ),
        figures=tuple(figures),
    )


def _usual_runs(size: Size) -> str:
    return f"{size.name}: {len(size.outages)} {'run' if len(size.outages) == 1 else 'runs'}"


def _row(size: Size) -> tuple[str, ...]:
    if not size.runs:
        return (size.name, *["refused"] * 12)
    outage = Seconds(tuple(size.outages)) if size.outages else None
    longest = size.longest
    return (
        size.name,
        str(len(size.all)),
        f"{sum(run.waits.requests for run in size.all):,}",
        str(sum(run.waits.failed for run in size.all)),
        str(max(run.lost for run in size.all)),
        f"{longest.median:.0f} ({longest.worst:.0f})",
        *(f"{part.median:.0f} ({part.worst:.0f})" for part in (size.before, size.held)),
        f"{median(run.waits.p99 for run in size.runs):.0f}",
        f"{size.upgrade.waits.longest:.0f}" if size.upgrade else "-",
        str(Seconds(tuple(run.copy_s for run in size.runs))),
        str(outage or "-"),
        f"{outage.median * 1000 / longest.median:.1f}" if outage else "-",
    )


def _figures(size: Size) -> list[Figure]:
    name, longest = f"{size.megabytes}MB", size.longest
    failed, gone = sum(run.waits.failed for run in size.all), max(run.lost for run in size.all)
    beside = {"the_usual_way": round(median(size.outages) * 1000, 1)} if size.outages else {}
    figures = [
        Figure(f"requests_{name}", sum(run.waits.requests for run in size.all), "requests"),
        Figure(f"failed_{name}", failed, "requests", "0", failed == 0),
        Figure(f"writes_lost_{name}", gone, "writes", "0", gone == 0),
        Figure(
            f"longest_wait_{name}",
            round(longest.median, 1),
            "ms",
            f"<= {MEDIAN_AIM:g}",
            longest.median <= MEDIAN_AIM,
            beside,
        ),
        Figure(
            f"longest_wait_worst_{name}",
            round(longest.worst, 1),
            "ms",
            f"<= {WORST_AIM:g}",
            longest.worst <= WORST_AIM,
        ),
        Figure(f"longest_wait_before_hold_{name}", round(size.before.median, 1), "ms"),
        Figure(f"hold_{name}", round(size.held.median, 1), "ms"),
        Figure(f"p99_{name}", round(median(run.waits.p99 for run in size.runs), 1), "ms"),
        Figure(f"copy_{name}", round(median(run.copy_s for run in size.runs), 2), "s"),
    ]
    if size.upgrade:
        figures.append(Figure(f"longest_wait_2022_to_2026_{name}", round(size.upgrade.waits.longest, 1), "ms"))
    return figures
