"""Table 2: the longest gap in the answers of each IP at its reroute, beside that of an equally long quiet time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

import psycopg

from benchmarks import visitors
from benchmarks.options import Options
from benchmarks.postgres import postgres
from benchmarks.report import Figure, Table
from benchmarks.stage import Machine, lab, machines, route_changes
from include import registry
from include.agent import verbs
from include.moves import network
from include.registry.schema import upgrade
from lab import topology

EVERY_MS = 1
MARGIN = 1.0
"""Seconds of probes before and after each reroute."""
REAL_TIME = ("chrt", "--fifo", "50")
"""Nothing else on the machine keeps a probe from being sent in time."""
TIMES = 2.0


@dataclass(frozen=True)
class Reroute:
    """One reroute of a server's IPs, and the quiet time before it: address -> what its probe saw."""

    direction: str
    moved: dict[str, visitors.Gap]
    quiet: dict[str, visitors.Gap]


def run(options: Options, progress: Callable[[str], None]) -> Table:
    """Out to another server and home, as often as there are runs."""
    spans = []
    with lab(), postgres() as dsn, machines("2022", "2026") as (original, transit), route_changes() as route:
        servers = {machine.name: machine for machine in (original, transit)}
        with _registry(dsn, original, transit) as conn, ExitStack() as probes:
            seen = {
                ip: probes.enter_context(
                    visitors.probe("ip", "--every", str(EVERY_MS), "--address", ip, before=REAL_TIME)
                )
                for ip in original.ips
            }
            time.sleep(MARGIN)
            for number in range(options.runs):
                for direction, to in (("out", transit), ("home", original)):
                    progress(f"run {number + 1} of {options.runs}: {direction}")
                    spans.append((direction, *_span(conn, route, original, to, servers)))
                    # As after a reinstallation, or a drop at the way home: the next reroute finds one that accepts.
                    before = next(machine for machine in (original, transit) if machine is not to)
                    before.agent.call(verbs.DropIps(ips=list(original.ips)))
            time.sleep(MARGIN)
    reroutes = [
        Reroute(
            direction,
            {ip: visitors.Gap.of(events, ip, begin, end) for ip, events in seen.items()},
            {ip: visitors.Gap.of(events, ip, begin - (end - begin), begin) for ip, events in seen.items()},
        )
        for direction, begin, end in spans
    ]
    return table(reroutes)


def _span(
    conn: psycopg.Connection,
    route: Callable[[list[str]], str],
    original: Machine,
    to: Machine,
    servers: dict[str, Machine],
) -> tuple[float, float]:
    """Reroutes as the migration's task does; gives when it began and ended, after a quiet time as long."""
    quiet = time.time()
    while time.time() < quiet + 2 * MARGIN + network.DRAIN_SECONDS + 1:
        time.sleep(0.1)
    begin = time.time()
    time.sleep(MARGIN)
    network.reroute(conn, route, original.name, registry.server(conn, to.name), lambda name: servers[name].agent)
    time.sleep(MARGIN)
    return begin, time.time()


@contextmanager
def _registry(dsn: str, original: Machine, transit: Machine) -> Iterator[psycopg.Connection]:
    """A registry of the benchmark's own that knows the two servers and the original's IPs."""
    with psycopg.connect(f"{dsn} dbname=postgres", autocommit=True) as conn:
        conn.execute("CREATE DATABASE registry")
    upgrade(f"{dsn} dbname=registry")
    with psycopg.connect(f"{dsn} dbname=registry", autocommit=True) as conn:
        registry.add_plan(conn, "bench", Decimal("1.00"), "CHF", 2, 4 << 30, 80 << 30)
        for machine, kind, customer in ((original, "vps", "a customer"), (transit, "transit", None)):
            spec = topology.server(machine.name).spec
            addresses = (spec.management_address, spec.lan_address, spec.lan_address6)
            registry.add_server(conn, machine.name, kind, "bench", machine.infrastructure, customer, *addresses)
        for ip in original.ips:
            registry.add_ip(conn, ip, original.name)
        # There is no migration here that would let the IPs go; what guards them is not what is measured.
        conn.execute("SET session_replication_role = replica")
        yield conn


def table(reroutes: list[Reroute]) -> Table:
    """The table and its figures, by direction and address."""
    rows, figures = [], []
    for direction in ("out", "home"):
        those = [reroute for reroute in reroutes if reroute.direction == direction]
        for ip in those[0].moved:
            family = "ipv6" if ":" in ip else "ipv4"
            moved, quiet = [reroute.moved[ip] for reroute in those], [reroute.quiet[ip] for reroute in those]
            lost = sum(gap.lost for gap in moved)
            longest, calm = median(gap.longest for gap in moved), median(gap.longest for gap in quiet)
            worst, calm_worst = max(gap.longest for gap in moved), max(gap.longest for gap in quiet)
            rows.append(
                (
                    f"{direction}, {family}",
                    f"{sum(gap.probes for gap in moved):,}",
                    str(lost),
                    f"{longest:.1f} ({worst:.1f})",
                    str(sum(gap.lost for gap in quiet)),
                    f"{calm:.1f} ({calm_worst:.1f})",
                    f"{longest / calm:.2f}",
                )
            )
            name = f"{direction}_{family}"
            figures += [
                Figure(f"lost_{name}", lost, "probes", "0", lost == 0),
                Figure(
                    f"longest_gap_{name}",
                    round(longest, 2),
                    "ms",
                    f"<= {TIMES:g} x quiet",
                    longest <= TIMES * calm,
                    {"quiet": round(calm, 2)},
                ),
                Figure(f"longest_gap_worst_{name}", round(worst, 2), "ms", beside={"quiet": round(calm_worst, 2)}),
            ]
    return Table(
        title=f"IPs: longest gap between two answers at a reroute, ms, median of {len(reroutes) // 2} (worst)",
        columns=("", "probes", "lost", "rerouted", "lost, quiet", "quiet", "times"),
        rows=tuple(rows),
        notes=(
            f"An ICMP echo request every {EVERY_MS} ms from the visitor host, a process for each address, with a"
            " real-time priority. A gap is from one answer's arrival to the next one's; the resolution is that of the"
            " quiet time.",
            f"A reroute is what the migration's task does: accept, drain, route; with {MARGIN:g} s before and after."
            " The quiet time is as long, right before it.",
        ),
        figures=tuple(figures),
    )
