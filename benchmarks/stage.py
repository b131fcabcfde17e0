"""Servers for benchmarks: the lab is brought up if it is not, scratch servers are claimed, installed, and wiped."""

from __future__ import annotations

import ctypes
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.agent import verbs
from include.hosts import Host
from include.hosts.host import open_client
from include.network import routes
from lab import __main__ as lab_cli
from lab import router, scratch, servers, state, topology
from lab.say import LabError

CLONE_NEWNET = 0x40000000
LONG = 3600.0
"""Seconds that a program on a server may take."""


@dataclass(frozen=True)
class Machine:
    """A server of the lab: its agent as operators reach it, and root on it past the agent."""

    name: str
    infrastructure: str
    processor: int | None
    """The only one that it may use, if told."""
    address: str
    ips: tuple[str, str]
    host_key: str
    agent: Host

    def root(self, argv: Sequence[str], stdin: bytes | None = None) -> bytes:
        """What a program prints as root there. Raises LabError with its complaint."""
        done = servers.machines().execute(self.name, list(argv), stdin=stdin, seconds=LONG)
        if done.returncode:
            output = (done.stderr or done.stdout).decode(errors="replace").strip()[-1500:]
            raise LabError(f"{' '.join(argv)[:200]} on {self.name} ended with {done.returncode}: {output}")
        return done.stdout

    def script(self, text: str) -> bytes:
        """A Bash script as root there; a failure anywhere in a pipe ends it."""
        return self.root(["bash", "-euo", "pipefail", "-c", text])


@contextmanager
def lab() -> Iterator[Callable[..., Any]]:
    """The lab is up, and this thread is where operators work: in th-ops. It stays up for the next run.

    Gives what calls a function where the benchmark was started.
    """
    if not _is_up():
        lab_cli.up(first=None)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)

    def at_home(function: Callable[..., Any], *args: Any) -> Any:
        with ThreadPoolExecutor(1, initializer=enter, initargs=(f"/proc/self/fd/{home}",)) as pool:
            return pool.submit(function, *args).result()

    try:
        enter(f"/run/netns/{topology.OPS}")
        yield at_home
    finally:
        enter(f"/proc/self/fd/{home}")
        os.close(home)


def _is_up() -> bool:
    needed = {"postgresql", "named", "unbound", "router-sshd"}
    lab_cli.check_machine()
    return len(topology.namespaces()) == len(topology.NAMESPACES) and needed <= set(state.recorded())


def enter(path: str) -> None:
    """Let this thread, and those it starts later, live in another network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(path, os.O_RDONLY)
    try:
        if libc.setns(handle, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {path}")
    finally:
        os.close(handle)


@contextmanager
def claimed(count: int) -> Iterator[list[topology.Server]]:
    """Scratch servers that nobody else uses while this lasts; wiped at the end, with their routes as they were."""
    with scratch.claimed(count) as taken:
        try:
            for server in taken:
                cleared(server)
            yield taken
        finally:
            for server in taken:
                cleared(server)


def cleared(server: topology.Server) -> None:
    """Wipes a server; its own IPs lead to it, whatever was done with them."""
    servers.machines().wipe(server.spec)
    for ip in server.ips:
        router.execute(routes.replace_argv(ip, next_hop(server.name, ip)))


@contextmanager
def machines(*infrastructures: str) -> Iterator[list[Machine]]:
    """Freshly installed scratch servers, one for each infrastructure, with the agent on them.

    Each has another processor than the one before it, as servers have their own: what one does, the other does not pay.
    """
    with claimed(len(infrastructures)) as taken, ThreadPoolExecutor() as pool:
        processors = [number % (os.cpu_count() or 1) for number in range(len(taken))]
        yield list(pool.map(installed, taken, infrastructures, processors))


def installed(server: topology.Server, infrastructure: str, processor: int | None = None) -> Machine:
    """A claimed server, installed anew, with the agent on it; on `processor` alone, if told."""
    made = servers.machines().reinstall(server.spec, infrastructure)
    if processor is not None:
        _keep_to(server.name, processor)
    address = server.spec.management_address
    agent = Host.connect(address, str(state.key("ops")), made.host_key)
    agent.push_agent()
    agent.call(verbs.AcceptIps(ips=list(server.ips)))
    return Machine(server.name, infrastructure, processor, address, server.ips, made.host_key, agent)


def _keep_to(name: str, processor: int) -> None:
    """Lets a running server use that processor alone."""
    for hierarchy in ("cpuset/transhumance", "transhumance"):  # of cgroup v1, of v2
        cpus = Path("/sys/fs/cgroup", hierarchy, f"lxc.payload.{name}", "cpuset.cpus")
        if cpus.exists():
            cpus.write_text(str(processor))
            return
    raise LabError(f"{name} has no control group cpuset, so it cannot be given a processor: see /sys/fs/cgroup.")


def reinstalled(machine: Machine) -> Machine:
    """The same server, with nothing on it."""
    machine.agent.close()
    return installed(topology.server(machine.name), machine.infrastructure, machine.processor)


@contextmanager
def route_changes() -> Iterator[Callable[[list[str]], str]]:
    """Runs commands on the router over one SSH connection, with the key that may only show and replace routes."""
    client = open_client(topology.ROUTER_MANAGEMENT, str(state.key("router")), router.host_public_key())

    def run(argv: list[str]) -> str:
        _, stdout, stderr = client.exec_command(shlex.join(argv), timeout=20)
        output = stdout.read().decode()
        if stdout.channel.recv_exit_status():
            raise LabError(f"The router refused {shlex.join(argv)}: {stderr.read().decode().strip()[:300]}")
        return output

    try:
        yield run
    finally:
        client.close()


def next_hop(name: str, ip: str) -> str:
    """Where packets for `ip` go when the server of that name answers for it."""
    spec = topology.server(name).spec
    return spec.lan_address6 if ":" in ip else spec.lan_address
