"""Operations: long verbs, each a unit of systemd: it outlives who started it, and is found again by its id."""

import json
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .codec import plain
from .system import AGENT, STATE, Refused, locked, read_json, refuse, run, write_durably

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_KEPT_SECONDS = 60 * 86400
_YIELDING = ("--property=Nice=10", "--property=IOSchedulingClass=idle")
_AWAITED = ("--property=CPUWeight=10000",)
"""However busy a neighbour keeps the processors, who waits for this waits no longer."""
_BOUNDS = ("--property=RuntimeMaxSec=1200", "--property=MemoryMax=1536M", "--property=TasksMax=200")
"""What reads nothing but what customers wrote has bounds of its own; the verb keeps to less by itself."""
_FIRST_TO_GO = "--property=OOMScoreAdjust=500"
"""Where memory runs out, an operation ends, and not a database: before its commit it undoes itself."""

Report = Callable[..., None]
Work = Callable[[str, dict[str, Any], Report], Any]
"""Does what was asked for: the verb by name, its arguments, and where to report."""


@dataclass(frozen=True)
class Manner:
    """How a verb runs beside whoever serves on this server: it gives way, or visitors wait for it; within bounds, or
    for as long as it takes."""

    yields: bool = True
    bounded: bool = False

    def properties(self) -> list[str]:
        return [*(_YIELDING if self.yields else _AWAITED), *(_BOUNDS if self.bounded else ())]


def _directory(operation: Any) -> Path:
    if not isinstance(operation, str) or not _ID.fullmatch(operation):
        refuse(
            "bad_operation",
            f"{operation!r} is no operation id; use letters, digits, '.', - and _, 100 at most.",
        )
    return STATE / "operations" / operation


def _unit(operation: str) -> str:
    return f"transhumance-op-{operation}.service"


def start(operation: str, verb: str, args: dict[str, Any], manner: Manner) -> dict[str, Any]:
    """Start a long verb unless it runs or has succeeded under this id; its status."""
    directory = _directory(operation)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(directory / "lock"):
        request = read_json(directory / "request.json")
        current = status(operation)
        if current["state"] in ("running", "succeeded"):
            if (request["verb"], request["args"]) != (verb, args):
                refuse("operation_in_use", f"The operation {operation} has other arguments; use another id.")
            return current
        (directory / "result.json").unlink(missing_ok=True)
        write_durably(directory / "progress.json", json.dumps({}))
        write_durably(directory / "request.json", json.dumps({"verb": verb, "args": args, "started": time.time()}))
        run(["systemctl", "reset-failed", _unit(operation)], check=False)
        run(
            ["systemd-run", "--quiet", f"--unit={_unit(operation)}", "--property=KillMode=control-group"]
            # What it wrote to a pipe or a peer must end with it: a killed switch leaves no writer behind.
            + ["--property=TimeoutStopSec=5", _FIRST_TO_GO]
            + manner.properties()
            + ["/usr/bin/python3", str(AGENT), "run", operation]
        )
        return status(operation)


def stop_all_of(move: str) -> None:
    """End the operations of a move that still run here: a hold of theirs is returned. Gives when they have ended."""
    listed = run(["systemctl", "list-units", "--plain", "--no-legend", "--full", _unit("*")], check=False).stdout
    for unit in (line.split()[0] for line in listed.decode().splitlines() if line.strip()):
        operation = unit.removeprefix("transhumance-op-").removesuffix(".service")
        request = read_json(_directory(operation) / "request.json") or {}
        if request.get("args", {}).get("move") == move:
            run(["systemctl", "stop", unit], check=False)


def status(operation: str) -> dict[str, Any]:
    """{"state": unknown|running|succeeded|failed|vanished, "progress", "result", "error", "seconds"}; with "verb" and
    "args", what was asked for under this id."""
    directory = _directory(operation)
    request = read_json(directory / "request.json")
    if request is None:
        return {"state": "unknown", "progress": {}, "result": None, "error": None, "seconds": 0.0}
    shown = run(["systemctl", "show", "--property=ActiveState", "--value", _unit(operation)], check=False).stdout
    ended = read_json(directory / "result.json")
    if ended is None and shown.strip() not in (b"active", b"activating", b"deactivating"):
        # Killed, or the server was rebooted: a result may just have been written, so look once more.
        ended = read_json(directory / "result.json") or {"state": "vanished", "at": time.time()}
    outcome = ended or {"state": "running", "at": time.time()}
    return {
        "verb": request["verb"],
        "args": request["args"],
        "state": outcome["state"],
        "progress": read_json(directory / "progress.json") or {},
        "result": outcome.get("result"),
        "error": outcome.get("error"),
        "seconds": round(max(0.0, outcome["at"] - request["started"]), 3),
    }


def run_operation(operation: str, work: Work) -> int:
    """What the unit runs: the verb, its progress to a file, its end to another."""
    directory = _directory(operation)
    request = read_json(directory / "request.json")
    # A stop of the unit must end the verb as a failure does: a hold is returned.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    last = 0.0

    def report(**progress: Any) -> None:
        nonlocal last
        if time.monotonic() - last < 0.2:
            return
        last = time.monotonic()
        temporary = directory / "progress.new"
        temporary.write_text(json.dumps({**progress, "at": time.time()}))
        temporary.rename(directory / "progress.json")

    try:
        result = work(request["verb"], request["args"], report)
        ended: dict[str, Any] = {"state": "succeeded", "result": plain(result)}
    except Refused as error:
        ended = {"state": "failed", "error": {"code": error.code, "message": error.message}}
    except Exception as error:  # whoever asks for the status must learn of it
        message = f"{type(error).__name__}: {error}; look at the journal of {_unit(operation)}."
        ended = {"state": "failed", "error": {"code": "internal_error", "message": message}}
        write_durably(directory / "result.json", json.dumps({**ended, "at": time.time()}))
        raise
    write_durably(directory / "result.json", json.dumps({**ended, "at": time.time()}))
    return 0


def forget_old() -> None:
    """Drop what is kept of operations that ended two months ago."""
    for request in (STATE / "operations").glob("*/request.json"):
        if time.time() - request.stat().st_mtime > _KEPT_SECONDS:
            for path in request.parent.iterdir():
                path.unlink()
            request.parent.rmdir()
