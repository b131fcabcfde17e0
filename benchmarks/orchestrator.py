"""Table 6: how much of a migration's time is the orchestrator's own, and whether any of it was in a hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.migration import ACCOUNTS, Whole, waits, whole
from benchmarks.options import Options
from benchmarks.processes import Span, merged, total, within, without
from benchmarks.report import Figure, Table

SHARE_AIM = 25.0
BRIDGE = 0.5
"""While a server is made, its maker asks every 0.1 s whether it is up."""
CLOCKS = 0.05
"""Seconds by which a server's word on its hold and the kernel's on a program may differ."""


@dataclass(frozen=True)
class Shares:
    """Seconds of the whole: each is what is left after the ones before."""

    wall: float
    agents: float
    machines: float
    waiting: float

    @property
    def rest(self) -> float:
        """What nobody else was busy with."""
        return self.wall - self.agents - self.machines - self.waiting

    @classmethod
    def of(cls, seen: Whole) -> Shares:
        """From what ran between the begin and the end."""

        def spans(kind: str, bridge: float = 0.0) -> list[Span]:
            return within(merged(((r.begin, r.end) for r in seen.ran if r.kind == kind), bridge), seen.begin, seen.end)

        agents, machines = spans("agent"), spans("machines", BRIDGE)
        waiting = within(waits(seen.tasks), seen.begin, seen.end)
        return cls(
            seen.end - seen.begin,
            total(agents),
            without(machines, agents),
            without(waiting, [*agents, *machines]),
        )


def alone_in_a_hold(seen: Whole) -> float:
    """Seconds of all holds in which no agent ran: the account would have waited for the orchestrator."""
    agents = merged(((r.begin, r.end) for r in seen.ran if r.kind == "agent"), CLOCKS)
    return sum(without([(begin, end)], within(agents, begin - CLOCKS, end + CLOCKS)) for _, begin, end in seen.holds)


def run(_options: Options, progress: Callable[[str], None]) -> Table:
    """The same migration as that of the table of names."""
    return table(whole(progress))


def table(seen: Whole) -> Table:
    """The table and its figures."""
    shares, alone = Shares.of(seen), alone_in_a_hold(seen)

    def percent(seconds: float) -> float:
        return round(100 * seconds / shares.wall, 1)

    own, less_agents = percent(shares.rest), percent(shares.wall - shares.agents)
    others = {
        "agents": percent(shares.agents),
        "servers_made": percent(shares.machines),
        "waiting_for_ttls": percent(shares.waiting),
    }
    rows = [
        ("the whole migrate_server", shares.wall),
        ("agents at work", shares.agents),
        ("servers being made or wiped", shares.machines),
        ("waiting for TTLs to pass", shares.waiting),
        ("the orchestrator", shares.rest),
    ]
    return Table(
        title=f"The orchestrator's share of a migration with {ACCOUNTS} small accounts",
        columns=("", "seconds", "%"),
        rows=tuple((label, f"{seconds:.1f}", f"{percent(seconds):.1f}") for label, seconds in rows),
        notes=(
            "When an agent or a maker of servers ran is what the kernel tells of every program's start and end; nothing"
            " of Airflow or of the mover takes part. Where several are busy the first one named has the time.",
            f"The whole less the time in agents: {less_agents:.1f} %. {len(seen.holds)} holds, of which no agent ran"
            f" for {alone:.2f} s.",
            "The customer performs the next account as soon as the one before is moved.",
        ),
        figures=(
            Figure("wall", round(shares.wall, 1), "s"),
            Figure("share", own, "%", f"< {SHARE_AIM:g}", own < SHARE_AIM, others),
            Figure("whole_less_agents", less_agents, "%", f"< {SHARE_AIM:g}", less_agents < SHARE_AIM, others),
            Figure("in_a_hold", round(alone, 2), "s", "0", alone == 0),
        ),
    )
