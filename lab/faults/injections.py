"""What is broken, and how it is put right again as far as a host would do that without knowing of a move."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.machines.lxc import hardware_address
from lab import postgres, servers, topology
from lab.faults import disks
from lab.faults.orchestrator import DATABASE, HOLD_SECONDS, METADATA, Run
from lab.faults.stage import root
from lab.state import in_ns, run

if TYPE_CHECKING:
    from lab.faults.trial import Trial

AWAY_SECONDS = 8.0
"""For how long a link, the registry or all room on a disk is away."""


@dataclass(frozen=True)
class Fault:
    """Something that breaks. `visitors`: whether it alone, without any move, turns visitors away."""

    name: str
    strike: Callable[[Trial], None]
    visitors: bool = False


def kill_worker(trial: Trial) -> None:
    """The worker with the run's task; it is begun again at once, as a scheduler does."""
    trial.run.kill()


def kill_orchestrator(trial: Trial) -> None:
    """All of Airflow, for longer than a hold lasts."""
    trial.run.kill()
    time.sleep(HOLD_SECONDS + 3)


def run_twice(trial: Trial) -> None:
    """The same run is begun a second time beside the first, as after a lost heartbeat."""
    second = Run(trial.run.dag_id, trial.run.run_id, trial.run.conf, METADATA[1])
    second.begin()
    trial.beside.append(second)


def kill_agent(trial: Trial) -> None:
    """Whatever the agent does on the server that the account leaves."""
    _signal_operations(trial.pair_source, "KILL")


def pause_agent(trial: Trial) -> None:
    """The same, stopped for longer than a hold lasts (a virtual machine that is paused, a disk that hangs)."""
    _signal_operations(trial.pair_source, "STOP")
    time.sleep(HOLD_SECONDS + 5)
    _signal_operations(trial.pair_source, "CONT")


def _signal_operations(server: str, signal: str) -> None:
    root(server, "systemctl", "kill", f"--signal={signal}", "transhumance-op-*", check=False)


def reboot_source(trial: Trial) -> None:
    _reboot(trial.pair_source)


def reboot_target(trial: Trial) -> None:
    _reboot(trial.pair_target)


def _reboot(server: str) -> None:
    machines, spec = servers.machines(), topology.server(server).spec
    machines.cut_power(spec)
    machines.start(spec)


def kill_engines_of_source(trial: Trial) -> None:
    _kill_engines(trial.pair_source)


def kill_engines_of_target(trial: Trial) -> None:
    _kill_engines(trial.pair_target)


def _kill_engines(server: str) -> None:
    """Both engines die; whoever watches over the server starts them."""
    root(server, "sh", "-c", "pkill -KILL -x postgres; pkill -KILL mariadbd; sleep 1; true")
    starts = "systemctl reset-failed; systemctl start mariadb; for one in /etc/postgresql/*/*; do"
    starts += " pg_ctlcluster $(basename $(dirname $one)) $(basename $one) start; done; true"
    root(server, "sh", "-c", starts)


def fill_source(trial: Trial) -> None:
    _fill(trial.pair_source)


def fill_target(trial: Trial) -> None:
    _fill(trial.pair_target)


def _fill(server: str) -> None:
    """No room for homes, nor for the agent's own records, for a while."""
    disks.fill(server)
    time.sleep(AWAY_SECONDS)
    disks.empty(server)


def cut_link(trial: Trial) -> None:
    """The two servers do not reach each other; the operators reach both."""
    ports = [_port(name) for name in (trial.pair_source, trial.pair_target)]
    for how in ("on", "off"):
        for port in ports:
            run(in_ns(topology.ROUTER, ["bridge", "link", "set", "dev", port, "isolated", how]))
        if how == "on":
            time.sleep(AWAY_SECONDS)


def _port(server: str) -> str:
    """The port of a server on the bridge of the management network: where its address was seen."""
    mac = hardware_address(0, topology.server(server).spec.management_address)
    seen = json.loads(run(in_ns(topology.ROUTER, ["bridge", "-j", "fdb", "show", "br", "mgmt"])))
    return next(entry["ifname"] for entry in seen if entry["mac"] == mac and "master" in entry)


def stop_registry(trial: Trial) -> None:
    """Nobody gets at the registry, and every connection to it ends."""
    away = f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS"
    postgres.psql("postgres", f"{away} false")
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'"
    postgres.psql("postgres", end)
    time.sleep(AWAY_SECONDS)
    postgres.psql("postgres", f"{away} true")


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("worker killed", kill_worker),
        Fault("Airflow away", kill_orchestrator),
        Fault("run begun twice", run_twice),
        Fault("agent killed", kill_agent),
        Fault("agent paused", pause_agent),
        Fault("source rebooted", reboot_source, visitors=True),
        Fault("target rebooted", reboot_target, visitors=True),
        Fault("source's engines killed", kill_engines_of_source, visitors=True),
        Fault("target's engines killed", kill_engines_of_target, visitors=True),
        Fault("source's disks full", fill_source, visitors=True),
        Fault("target's disks full", fill_target, visitors=True),
        Fault("link cut", cut_link, visitors=True),
        Fault("registry away", stop_registry),
    )
}
