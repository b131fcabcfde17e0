"""Probes on the visitor host, and figures from what they saw."""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import state
from lab.demo.inside import inside
from lab.say import LabError
from lab.topology import VISITOR
from lab.visitors import summary
from lab.visitors.load import STORES

REPOSITORY = Path(__file__).parents[1]
MEMORY = Path("/dev/shm")
"""Logs lie in memory: no probe waits for a disk that a move keeps busy."""
Event = dict[str, Any]


@contextmanager
def probe(program: str, *argv: str, before: Sequence[str] = ()) -> Iterator[list[Event]]:
    """Runs `lab.visitors.<program>` in a process of its own while the block lasts; the list has its events after.

    `before`: words that start it, such as a program that sets its priority.
    """
    seen: list[Event] = []
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        log = Path(folder) / "log"
        command = [*before, sys.executable, "-m", f"lab.visitors.{program}", "--log", str(log), *argv]
        env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY)}
        running = subprocess.Popen(state.in_ns(VISITOR, command), env=env, stdin=subprocess.DEVNULL)
        try:
            yield seen
            if running.poll() is not None:
                raise LabError(f"The probe {program} ended by itself with {running.returncode}: see what it said.")
        finally:
            running.terminate()
            running.wait()
            seen += summary.events([log]) if log.exists() else []


@dataclass(frozen=True)
class Waits:
    """What visitors of a site saw in a span of time. Milliseconds."""

    requests: int
    failed: int
    again: int
    longest: float
    p99: float

    @classmethod
    def of(cls, seen: Iterable[Event], begin: float, end: float) -> Waits:
        """Of the requests that were under way at any moment of the span."""
        those = [e for e in seen if e["t"] <= end and e["t"] + e["s"] >= begin]
        waits = [e["s"] * 1000 for e in those]
        failed = sum(not e["ok"] for e in those)
        again = sum(bool(e.get("again")) for e in those)
        return cls(len(those), failed, again, max(waits, default=0.0), summary.percentile(waits, 99))


def outage(seen: Iterable[Event]) -> float:
    """Seconds without service: from the first failed request to the first good one after the last failed one.

    Both by when they were sent; to the last request when no good one came after.
    """
    ordered = sorted((e["t"], e["ok"]) for e in seen)
    bad = [t for t, ok in ordered if not ok]
    if not bad:
        return 0.0
    after = [t for t, ok in ordered if ok and t > bad[-1]]
    return (after[0] if after else ordered[-1][0]) - bad[0]


@dataclass(frozen=True)
class Gap:
    """What a probe of one address saw in a span of time."""

    probes: int
    lost: int
    longest: float
    """Milliseconds from one answer to the next, by when they arrived."""

    @classmethod
    def of(cls, seen: Iterable[Event], ip: str, begin: float, end: float) -> Gap:
        """Of the probes sent within the span; a gap at an end of it reaches from or to that end."""
        those = [e for e in seen if e["ip"] == ip and begin <= e["t"] <= end]
        came = sorted(e["t"] + e["rtt"] for e in those if e["rtt"] is not None)
        marks = [begin, *came, end] if len(came) < len(those) or not came else came
        longest = max((later - earlier for earlier, later in zip(marks, marks[1:], strict=False)), default=0.0)
        return cls(len(those), len(those) - len(came), longest * 1000)


def acknowledged(seen: Iterable[Event]) -> set[str]:
    """The ids of what the site said it wrote."""
    return {e["id"] for e in seen if e["kind"] == "write" and e["ok"]}


def lost(ids: set[str], domain: str, address: str) -> set[str]:
    """Those of the ids that the site at this address does not hold in every store, asked from the visitor host."""
    missing = set()
    for store in STORES:
        missing |= ids - inside(VISITOR, _listed, domain, address, store)
    return missing


def _listed(domain: str, address: str, store: str) -> set[str]:
    connection = http.client.HTTPConnection(address, 80, timeout=60)
    try:
        connection.request("GET", f"/visit.php?list={store}", headers={"Host": domain})
        response = connection.getresponse()
        text = response.read().decode()
        if response.status != 200:
            raise LabError(f"http://{domain}/visit.php?list={store} answers {response.status}: {text[:200]}")
        return set(text.split())
    finally:
        connection.close()
