"""Figures of a span of time, from the visitors' logs (files of JSON lines). Times are Unix seconds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Visits:
    """What visitors of one account saw. Times in milliseconds."""

    requests: int
    failed: int
    longest_wait_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Probes:
    """What a probe of one address saw. `longest_gap_ms`: the longest time from one answered probe to the next
    answered one, both by when they were sent."""

    probes: int
    lost: int
    longest_gap_ms: float


def events(logs: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Every event of these logs; a last line that is still being written is left out."""
    for path in logs:
        with open(path) as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)


def visits(events: Iterable[dict[str, Any]], account: str, begin: float, end: float) -> Visits:
    """The account's web requests that were under way at any moment of the span."""
    waits, failed = [], 0
    for event in events:
        if event.get("account") != account or event["kind"] == "mail":
            continue
        if event["t"] <= end and event["t"] + event["s"] >= begin:
            waits.append(event["s"] * 1000)
            failed += not event["ok"]
    return Visits(len(waits), failed, round(max(waits, default=0.0), 1), round(percentile(waits, 99), 1))


def probes(events: Iterable[dict[str, Any]], ip: str, begin: float, end: float) -> Probes:
    """The address's probes sent within the span."""
    sent = sorted(
        (event["t"], event["rtt"] is not None)
        for event in events
        if event.get("ip") == ip and begin <= event["t"] <= end
    )
    answered = [t for t, came in sent if came]
    # A gap at an end of the span reaches from or to that end.
    marks = [begin, *answered, end] if len(answered) < len(sent) or not answered else answered
    gap = max((later - earlier for earlier, later in zip(marks, marks[1:], strict=False)), default=0.0)
    return Probes(len(sent), len(sent) - len(answered), round(gap * 1000, 1))


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed; 0 of none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def acknowledged(events: Iterable[dict[str, Any]], account: str) -> set[str]:
    """The ids of what the account's sites said they wrote."""
    return {e["id"] for e in events if e.get("account") == account and e["kind"] == "write" and e["ok"]}


def accepted_mail(events: Iterable[dict[str, Any]], account: str) -> dict[str, str]:
    """id -> address of the messages that were accepted for the account."""
    return {e["id"]: e["to"] for e in events if e.get("account") == account and e["kind"] == "mail" and e["ok"]}
