"""What the lab has started, written down so that exactly that can be ended again, also after a crash.

A process is known by its pid and the time it started, so a pid used again is never mistaken for ours.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

from lab.say import LabError

STATE = Path("/var/lib/transhumance-lab")
CACHE = Path("/var/cache/transhumance")
RUN = STATE / "run"
LOGS = STATE / "logs"
KEYS = STATE / "keys"


def run(argv: Sequence[str], **more) -> str:
    """Run a program to its end and return its output; LabError with its complaint if it fails."""
    done = subprocess.run(argv, **({"stdin": subprocess.DEVNULL} | more), capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(argv[:8])} failed: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def in_ns(netns: str | None, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` inside a namespace (not `ip netns exec`: it hides /sys/fs/cgroup)."""
    return [*(["nsenter", f"--net=/run/netns/{netns}"] if netns else []), *argv]


@contextmanager
def alone() -> Iterator[None]:
    """One `up` or `down` at a time on a machine."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        flock(lock, LOCK_EX)
        yield


def prepare() -> None:
    """Make the state's directories."""
    for directory, mode in ((STATE, 0o755), (RUN, 0o755), (LOGS, 0o755), (KEYS, 0o700)):
        directory.mkdir(mode=mode, parents=True, exist_ok=True)


def key(name: str) -> Path:
    """An SSH key pair of the lab: the path of the private half (the public one ends in .pub)."""
    path = KEYS / name
    if not path.with_suffix(".pub").exists():
        path.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name} of the lab", "-f", str(path)])
    return path


def public_key(name: str) -> str:
    """The public half of a key pair, one line."""
    return key(name).with_suffix(".pub").read_text().strip()


# --- processes


def stat_of(pid: int) -> tuple[int, int] | None:
    """(parent's pid, start time in clock ticks since boot) of a process; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[1]), int(fields[19]))


def boot_id() -> str:
    """Which boot of the machine this is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def record(name: str, pid: int, stop_signal: int = signal.SIGTERM) -> None:
    """Write down a process that was just started; `stop_signal` asks it to end in order."""
    stat = stat_of(pid)
    if stat is None:
        raise LabError(f"{name} ended at once: see {LOGS / name}.log.")
    fresh = RUN / f".{name}.{pid}"
    fresh.write_text(json.dumps({"pid": pid, "started": stat[1], "boot": boot_id(), "signal": int(stop_signal)}))
    fresh.rename(RUN / f"{name}.json")


def recorded() -> dict[str, dict]:
    """Every process that was started and still runs, by name."""
    entries = {}
    for path in sorted(RUN.glob("*.json")):
        try:
            entry = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        stat = stat_of(entry["pid"])
        if stat and stat[1] == entry["started"] and entry["boot"] == boot_id():
            entries[path.stem] = entry
    return entries


def alive(name: str) -> bool:
    """Whether the process recorded under this name still runs."""
    return name in recorded()


def spawn(
    name: str,
    argv: Sequence[str],
    *,
    netns: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | Path = "/",
    stop_signal: int = signal.SIGTERM,
    **popen,
) -> None:
    """Start a process of the lab that stays, in a session of its own, its output in logs/NAME.log.

    One that already runs under this name is left alone.
    """
    if alive(name):
        return
    with open(LOGS / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            in_ns(netns, argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            **popen,
        )
    record(name, process.pid, stop_signal)


def tree(pids: Sequence[int]) -> dict[int, int]:
    """These processes and all that descend from them: {pid: start time}."""
    children: dict[int, list[int]] = {}
    started = {}
    for pid in all_pids():
        if stat := stat_of(pid):
            started[pid] = stat[1]
            children.setdefault(stat[0], []).append(pid)
    processes, todo = {}, list(pids)
    while todo:
        pid = todo.pop()
        if pid in started and pid not in processes:
            processes[pid] = started[pid]
            todo += children.get(pid, [])
    return processes


def all_pids() -> list[int]:
    """Every process of the machine."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def mine() -> set[int]:
    """This process and those above it: they end nothing of themselves."""
    pids, pid = set(), os.getpid()
    while pid > 0:
        pids.add(pid)
        stat = stat_of(pid)
        pid = stat[0] if stat else 0
    return pids


def in_namespace(netns: str) -> list[int]:
    """The processes in a network namespace, this one and those above it left out."""
    try:
        inside = os.stat(f"/run/netns/{netns}")
    except FileNotFoundError:
        return []
    spared, pids = mine(), []
    for pid in all_pids():
        try:
            if pid not in spared and os.path.samestat(inside, os.stat(f"/proc/{pid}/ns/net")):
                pids.append(pid)
        except OSError:
            continue
    return pids


def send(pid: int, number: int) -> None:
    """Send a signal; a process that has ended already is fine."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def end(names: Sequence[str] | None = None, patience: float = 10) -> list[str]:
    """End recorded processes (None: all) with all that descend from them, in order, then by force.

    Returns their names. `patience` is how many seconds they may take to end by themselves.
    """
    entries = {n: e for n, e in recorded().items() if names is None or n in names}
    family = tree([entry["pid"] for entry in entries.values()])
    for pid in mine():
        family.pop(pid, None)
    for entry in entries.values():
        if entry["pid"] in family:
            send(entry["pid"], entry["signal"])
    await_end(family, patience)
    for name in names if names is not None else [p.stem for p in RUN.glob("*.json")]:
        (RUN / f"{name}.json").unlink(missing_ok=True)
    return list(entries)


def await_end(family: dict[int, int], patience: float) -> None:
    """Wait until these processes have ended; kill those that have not after `patience` seconds."""
    until = time.monotonic() + patience
    hard = until + 10
    while left := [pid for pid, began in family.items() if (s := stat_of(pid)) and s[1] == began]:
        if time.monotonic() > hard:
            raise LabError(f"The processes {left} do not end even when killed: look at them.")
        if time.monotonic() > until:
            for pid in left:
                send(pid, signal.SIGKILL)
        time.sleep(0.03)
        for pid in left:  # those that this very process started are only gone once they are reaped
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
