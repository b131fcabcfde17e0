"""The plots of a server's page: what servers and probes measured, in ms."""

from __future__ import annotations

import json
from typing import Any

from include.registry.kinds import EventKind
from transhumance_airflow.board.gather import ServerPage


def waits(page: ServerPage) -> dict[str, Any]:
    """The plot of waits: a bar a move, by what servers and probes measured, in ms."""
    probed = {(e.account, e.detail.get("direction")): e.detail for e in page.events if e.kind == EventKind.PROBE_WAIT}
    labels, held, expected, longest = [], [], [], []
    for move in page.moves:
        if move.committed_at is None:
            continue
        labels.append(f"{move.account} {move.direction}")
        held.append(_number(move.figures.switch.held_ms))
        expected.append(_number(move.figures.switch.expected_ms))
        longest.append(_number(probed.get((move.account, move.direction), {}).get("longest_wait_ms")))
    series = [("held", held), ("expected", expected), ("longest wait of a visitor", longest)]
    return {
        "labels": labels,
        "series": [(name, values) for name, values in series if any(v is not None for v in values)],
    }


GAPS = {"reroute_ips_to_transit": "to transit", "reroute_ips_home": "home", "whole run": "at all"}


def gaps(page: ServerPage) -> dict[str, Any]:
    """The plot of the longest gap between two answers of an IP, at each step, in ms."""
    # The newest of each: what was measured once more replaces what was.
    newest = {
        (e.detail.get("ip"), e.detail.get("step")): e.detail for e in page.events if e.kind == EventKind.PROBE_GAP
    }
    probed = list(newest.values())
    return {
        "labels": [f"{seen.get('ip')} {GAPS.get(seen.get('step') or '', seen.get('step'))}" for seen in probed],
        "series": [("longest gap", [_number(seen.get("longest_gap_ms")) for seen in probed])] if probed else [],
    }


def _number(value: Any) -> float | None:
    return round(float(value), 1) if isinstance(value, int | float) else None


def as_json(value: Any) -> str:
    """JSON that is safe within a script element, whatever a name holds."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
