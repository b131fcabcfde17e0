"""Tables 4 and 5: how fast each store is copied, beside the best tools; and what the verification costs of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

from benchmarks import packages, tools, usual
from benchmarks.accounts import MEGABYTE, Sizes, fill
from benchmarks.moves import Move
from benchmarks.options import Options
from benchmarks.processes import Recorder
from benchmarks.report import Figure, Seconds, Table
from benchmarks.stage import lab, machines
from include.hosts import AgentError
from lab.say import LabError

SIZES = {
    "files": Sizes(240 * MEGABYTE, 0, 0, 20_000),
    "postgresql": Sizes(0, 494 * MEGABYTE, 0, 0),
    "mariadb": Sizes(0, 0, 435 * MEGABYTE, 0),
}
CONTENT = {"files": "20,000 files, 240 MB", "postgresql": "PostgreSQL, 494 MB", "mariadb": "MariaDB, 435 MB"}
SPEED_AIM, SHARE_AIM = 0.95, 15.0


@dataclass
class Store:
    """Every run of one store, in seconds."""

    copies: list[float] = field(default_factory=list)
    """The verb `copy`, from the start of its program to its end."""
    verifying: list[float] = field(default_factory=list)
    """What it says of that was its verification."""
    verified: list[float] = field(default_factory=list)
    """The verb `verify` right after, likewise."""
    others: dict[str, list[float]] = field(default_factory=dict)
    in_hold: float | None = None
    """What a switch-over says that it compared in the hold; None when it was refused."""

    @property
    def copying(self) -> Seconds:
        """The copies without their verification."""
        return Seconds(tuple(whole - part for whole, part in zip(self.copies, self.verifying, strict=True)))

    @property
    def share(self) -> float:
        """The verification in percent of the copying."""
        return 100 * median(self.verifying) / self.copying.median


@dataclass(frozen=True)
class Measured:
    """What both tables are made of."""

    stores: dict[str, Store]
    missing: tuple[str, ...]
    refused: dict[str, str] = field(default_factory=dict)
    """Stores that the project did not copy, with its sentence."""

    @property
    def refusals(self) -> tuple[str, ...]:
        """For the notes."""
        return tuple(f"{CONTENT[store]} was refused: {text}" for store, text in self.refused.items())


_measured: dict[Options, Measured] = {}
"""Both tables tell of the same runs."""


def run_copy(options: Options, progress: Callable[[str], None]) -> Table:
    """How fast."""
    return copy_table(_measure(options, progress))


def run_verify(options: Options, progress: Callable[[str], None]) -> Table:
    """At what cost it is verified."""
    return verify_table(_measure(options, progress))


def _report(progress: Callable[[str], None], store: str, text: str) -> None:
    progress(f"{store}: {text}")


def _measure(options: Options, progress: Callable[[str], None]) -> Measured:
    if options in _measured:
        return _measured[options]
    missing = []
    with (
        lab() as at_home,
        machines("2022", "2026") as (source, target),
        usual.trust(source, target) as ssh,
        at_home(Recorder, operation_of) as recorder,
    ):
        by_infrastructure = {machine.infrastructure: machine for machine in (source, target)}
        for tool, (package, infrastructure) in tools.PACKAGES.items():
            try:
                at_home(packages.fetch, infrastructure, package)
                packages.install(by_infrastructure[infrastructure], package)
            except LabError as error:
                missing.append(f"{tool} is left out, its package cannot be had: {error}")
        pair = tools.make_pair(source, target, ssh)
        stores, refused = {}, {}
        for number, store in enumerate(SIZES):
            absent = {tool for tool in tools.PACKAGES if any(text.startswith(tool) for text in missing)}
            methods = {name: tool for name, tool in tools.TOOLS[store].items() if name not in absent}
            progress(f"{store}: filling")
            statement = fill(source, f"copy{store[:5]}", 2500 + number, SIZES[store]).account_file
            runs = _Runs(pair, recorder, store, statement, methods, partial(_report, progress, store))
            try:
                stores[store] = runs.run(options.runs)
            except AgentError as error:
                refused[store] = str(error)
                progress(f"{store}: refused: {error}")
    _measured[options] = Measured(stores, tuple(missing), refused)
    return _measured[options]


class _Runs:
    """The runs of one store: each method once in every round, and what was copied is dropped before the next."""

    def __init__(
        self,
        pair: tools.Pair,
        recorder: Recorder,
        store: str,
        statement: dict[str, Any],
        methods: dict[str, tools.Tool],
        progress: Callable[[str], None],
    ) -> None:
        self.pair, self.recorder, self.store, self.statement = pair, recorder, store, statement
        self.methods, self.progress = methods, progress
        self.name = statement["account"]
        self.measured = Store(others={method: [] for method in methods})

    def run(self, rounds: int) -> Store:
        """All of them, and one switch-over at the end."""
        for number in range(rounds):
            order = ["transhumance", *self.methods]
            # Whoever comes first meets colder caches: everybody has their turn.
            for method in order[number % len(order) :] + order[: number % len(order)]:
                if method in self.methods:
                    self._tool(method)
                else:
                    self._ours(number)
            took = [f"copy {self.measured.copies[-1]:.1f} s ({self.measured.verifying[-1]:.1f} s of it to verify)"]
            took += [f"{method} {seconds[-1]:.1f} s" for method, seconds in self.measured.others.items()]
            self.progress(f"run {number + 1} of {rounds}: {', '.join(took)}")
        try:
            self._switch(rounds)
        except AgentError as error:
            self.progress(f"the switch-over was refused: {error}")
        return self.measured

    def _move(self, number: int) -> Move:
        move = Move(f"{self.name}-{number}", number + 2, self.statement, self.pair.source, self.pair.target)
        move.open()
        os.sync()
        return move

    def _ours(self, number: int) -> None:
        move = self._move(number)
        copied, _ = move.copy()
        move.verify()
        self.measured.copies.append(self.recorder.last(f"{move.key}-copy").seconds)
        self.measured.verified.append(self.recorder.last(f"{move.key}-verify").seconds)
        self.measured.verifying.append(copied.verify_seconds)
        move.give_up()

    def _tool(self, method: str) -> None:
        tools.make_role(self.pair, self.name)
        os.sync()  # what the one before has left to be written is not this one's
        began = time.perf_counter()
        self.methods[method](self.pair, self.name)
        self.measured.others[method].append(time.perf_counter() - began)
        tools.check(self.pair, self.name, self.store)
        tools.clean(self.pair, self.name)

    def _switch(self, number: int) -> None:
        move = self._move(number)
        move.copy()
        steps = {step.name: step.seconds for step in move.switch().steps}
        self.measured.in_hold = steps.get(f"{self.store} compared")
        move.close()


def operation_of(words: list[str]) -> str | None:
    """The operation that a program on a server runs, if it is the agent with a long verb."""
    return words[3] if len(words) == 4 and words[1].endswith("/agent.pyz") and words[2] == "run" else None


def copy_table(measured: Measured) -> Table:
    """The table of speeds."""
    rows, figures = [], []
    for store, measured_store in measured.stores.items():
        ours = measured_store.copying
        best = min(median(runs) for runs in measured_store.others.values())
        speed = round(best / ours.median, 2)
        rows.append((CONTENT[store], "transhumance", str(ours), f"{speed:.2f}"))
        rows += [("", method, str(Seconds(tuple(runs))), "") for method, runs in measured_store.others.items()]
        figures.append(
            Figure(
                f"speed_{store}",
                speed,
                "of the best",
                f">= {SPEED_AIM:g}",
                speed >= SPEED_AIM,
                {"seconds": round(ours.median, 2)}
                | {method: round(median(runs), 2) for method, runs in measured_store.others.items()},
            )
        )
    figures += [Figure(f"speed_{store}", 0, "of the best", f">= {SPEED_AIM:g}", False) for store in measured.refused]
    return Table(
        title="Copy speed: seconds, median (worst)",
        columns=("", "tool", "seconds", "speed, of the best"),
        rows=tuple(rows),
        notes=(
            "From a server of infrastructure 2022 to one of 2026, taking turns in every round; what was copied is"
            " dropped before the next.",
            "Transhumance: the verb `copy` of an account that has only this store, timed by the kernel's record of"
            " its program, less the verification that it says it did (the next table); the tools verify nothing.",
            "rsync -aHAX and tar --acls --xattrs over ssh; pg_dump -Fd -j2 on the target over TLS, then pg_restore -j2;"
            " pgcopydb clone on the target, 2 jobs; mariadb-dump | ssh mariadb; mydumper and myloader with 2 threads,"
            " through an ssh tunnel.",
            *measured.missing,
            *measured.refusals,
        ),
        figures=tuple(figures),
    )


def verify_table(measured: Measured) -> Table:
    """The table of the verification's cost."""
    rows, figures = [], []
    for store, measured_store in measured.stores.items():
        share = round(measured_store.share, 1)
        rows.append(
            (
                CONTENT[store],
                str(measured_store.copying),
                str(Seconds(tuple(measured_store.verifying))),
                f"{share:.1f}",
                str(Seconds(tuple(measured_store.verified))),
                "-" if measured_store.in_hold is None else f"{measured_store.in_hold * 1000:.0f}",
            )
        )
        beside = {
            "copy_s": round(measured_store.copying.median, 2),
            "verb_verify_s": round(median(measured_store.verified), 2),
        }
        figures.append(Figure(f"share_{store}", share, "%", f"< {SHARE_AIM:g}", share < SHARE_AIM, beside))
        if measured_store.in_hold is not None:
            figures.append(Figure(f"in_hold_{store}", round(measured_store.in_hold * 1000, 1), "ms"))
    return Table(
        title="Verification of the whole copy, outside the hold: seconds, median (worst)",
        columns=("", "copying", "verifying", "share %", "verb verify", "in the hold, ms"),
        rows=tuple(rows),
        notes=(
            "Verifying is what the copy itself says of its time; the share is of the time without it.",
            "Beside it the verb `verify`, which compares everything once more, timed by the kernel's record of its"
            " program.",
            "In the hold only what changed is compared: of one switch-over, what it says itself.",
            *measured.refusals,
        ),
        figures=tuple(figures),
    )
