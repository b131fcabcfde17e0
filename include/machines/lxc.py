"""Servers as LXC system containers on this machine, each an overlay on a base tree it shares with others.

Installing a server is a new, empty overlay; wiping it removes that overlay. Containers start inside the
network namespace that holds the bridges, so nothing is added to the machine's own network.
"""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

from include.machines import host_keys, laid_down
from include.machines.delta import Delta
from include.machines.host_keys import HostKey
from include.machines.interface import NAME, Installed, MachineError, MachineSpec

# LXC looks for a bridge in the first network namespace; this attaches the interface in the one we are in.
# A hook, not a step after the start, so that a server that reboots by itself is attached again.
ATTACH = '#!/bin/sh\nfor interface; do :; done\nexec ip link set "$interface" master "$1" up\n'
CONFIG = """\
lxc.rootfs.path = overlay:{base}:{home}/delta
lxc.uts.name = {name}
lxc.net.0.type = veth
lxc.net.0.name = eth0
lxc.net.0.flags = up
lxc.net.0.hwaddr = {management_mac}
lxc.net.0.script.up = {hook} mgmt
lxc.net.0.ipv4.address = {management_address}/24
lxc.net.1.type = veth
lxc.net.1.name = eth1
lxc.net.1.flags = up
lxc.net.1.hwaddr = {lan_mac}
lxc.net.1.script.up = {hook} lan
lxc.net.1.ipv4.address = {lan_address}/24
lxc.net.1.ipv4.gateway = {router_address}
lxc.net.1.ipv6.address = {lan_address6}/64
lxc.net.1.ipv6.gateway = {router_address6}
lxc.apparmor.profile = unconfined
lxc.environment = SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
lxc.mount.auto = proc:mixed sys:mixed cgroup:rw:force
lxc.cgroup.dir = transhumance
lxc.tty.max = 0
lxc.pty.max = 64
lxc.cap.drop = sys_time sys_module
lxc.log.file = {home}/lxc.log
"""


class LxcMachines:
    """See `Machines`. Needs root, and the namespace `netns` with the bridges `mgmt` and `lan`.

    `cache_dir`/base/<infrastructure> is the base tree (or a link to it); `authorized_key` is the public key
    (`ssh-ed25519 AAAA... comment`) that may run the launcher on every server; `resolver` is
    the address of the name server they ask.
    """

    def __init__(
        self,
        state_dir: Path | str,
        cache_dir: Path | str,
        authorized_key: str,
        *,
        netns: str = "th-router",
        resolver: str = "192.0.2.54",
        repository: Path = laid_down.REPOSITORY,
        boot_seconds: float = 60,
    ) -> None:
        self.servers = Path(state_dir) / "servers"
        self.kept = Path(state_dir) / "kept"
        self.bases = Path(cache_dir) / "base"
        self.authorized_key = authorized_key.strip()
        self.netns = netns
        self.resolver = resolver
        self.repository = repository
        self.boot_seconds = boot_seconds

    # --- the interface

    def install(self, spec: MachineSpec, infrastructure: str) -> Installed:
        """See `Machines.install`. A server of this infrastructure that is switched off is started."""
        with self._alone(spec.name):
            record = self._record(spec.name)
            if record is None or record["infrastructure"] != infrastructure:
                self._wipe(spec.name)
                self._lay_out(spec, infrastructure, [host_keys.fresh()])
            return self._start(spec)

    def reinstall(self, spec: MachineSpec, infrastructure: str, host_keys_of: str | None = None) -> Installed:
        """See `Machines.reinstall`."""
        with self._alone(spec.name):
            self._base(infrastructure)  # an unknown infrastructure is refused before anything is lost
            keys = [host_keys.fresh()] if host_keys_of is None else self._kept_host_keys(host_keys_of)
            self._wipe(spec.name)
            self._lay_out(spec, infrastructure, keys)
            return self._start(spec)

    def wipe(self, spec: MachineSpec) -> None:
        """See `Machines.wipe`."""
        with self._alone(spec.name):
            self._wipe(spec.name)

    def there(self, spec: MachineSpec) -> Installed | None:
        """See `Machines.there`."""
        record = self._record(spec.name)
        return Installed(record["host_key"]) if record else None

    def cut_power(self, spec: MachineSpec) -> None:
        """See `Machines.cut_power`. Nothing is flushed."""
        with self._alone(spec.name):
            self._kill(spec.name)

    def keep(self, spec: MachineSpec, label: str) -> None:
        """See `Machines.keep`."""
        kept = self._kept(label)
        with self._alone(spec.name):
            if not kept.exists() and self._record(spec.name) is not None:
                self._kill(spec.name)
                self.kept.mkdir(mode=0o700, exist_ok=True)
                (self.servers / spec.name).rename(kept)

    def put_back(self, spec: MachineSpec, label: str) -> Installed:
        """See `Machines.put_back`."""
        kept, home = self._kept(label), self.servers / spec.name
        with self._alone(spec.name):
            record = self._record(spec.name)
            if record is None or record.get("was") != label:
                if record is not None:
                    raise MachineError(f"{spec.name} is there: keep or wipe it before another disk takes its place.")
                if not kept.exists():
                    raise MachineError(f"There is no kept disk {label}: nothing can take the place of {spec.name}.")
                self._wipe(spec.name)  # what was never laid out whole
                disk = json.loads((kept / "installed.json").read_text())
                self._configure(spec, laid_over((kept / "config").read_text()), kept)
                # Whole before the disk takes the place: a call that was cut off begins anew.
                replace(kept / "installed.json", json.dumps({**disk, "was": label}))
                kept.rename(home)
            return self._start(spec)

    def discard(self, label: str) -> None:
        """See `Machines.discard`."""
        run(["rm", "-rf", "--one-file-system", "--", str(self._kept(label))])

    # --- what a person with access to the machine can do besides

    def start(self, spec: MachineSpec) -> Installed:
        """Switch an installed server on again, with all that it holds."""
        with self._alone(spec.name):
            return self._start(spec)

    def infrastructure(self, name: str) -> str | None:
        """The infrastructure a server was installed with; None for a wiped one."""
        record = self._record(name)
        return record["infrastructure"] if record else None

    def execute(
        self, name: str, argv: list[str], *, stdin: bytes | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `argv` as root inside a running server, past its sshd; the caller looks at the exit status."""
        nothing = subprocess.DEVNULL if stdin is None else None
        return subprocess.run(self.inside(name, argv), capture_output=True, timeout=seconds, stdin=nothing, input=stdin)

    def inside(self, name: str, argv: list[str]) -> list[str]:
        """The command of this machine that runs `argv` as root inside a running server."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
        return self._lxc("lxc-attach", name, "--clear-env", "--set-var", path, "--", *argv)

    def running(self, name: str) -> bool:
        """Whether the server is switched on."""
        return bool(self._init_pid(name))

    # --- how

    def _lxc(self, tool: str, name: str, *more: str) -> list[str]:
        # not `ip netns exec`: it hides /sys/fs/cgroup, and LXC's tools speak over a socket of the namespace
        return ["nsenter", f"--net=/run/netns/{self.netns}", tool, "-P", str(self.servers), "-n", name, *more]

    def _record(self, name: str) -> dict[str, str] | None:
        try:
            return json.loads((self.servers / name / "installed.json").read_text())
        except FileNotFoundError:
            return None

    def _base(self, infrastructure: str) -> Path:
        base = self.bases / infrastructure
        if "/" in infrastructure or not (base / "usr").is_dir():
            names = sorted(p.name for p in self.bases.iterdir() if p.is_symlink()) if self.bases.is_dir() else []
            raise MachineError(
                f"There is no base tree for the infrastructure {infrastructure!r}: "
                f"build it, or use one of {', '.join(names) or 'none yet'}."
            )
        return base.resolve()

    def _lay_out(self, spec: MachineSpec, infrastructure: str, keys: list[HostKey]) -> None:
        own = (self.authorized_key, keys, self.resolver, self.repository)
        files = list(laid_down.files(spec, infrastructure, *own))
        home, base = self.servers / spec.name, self._base(infrastructure)
        delta = Delta(base, home / "delta")
        self.servers.mkdir(mode=0o755, parents=True, exist_ok=True)
        hook = self.servers / ".attach"
        if not hook.exists():
            fresh = self.servers / f".attach.{uuid.uuid4().hex}"
            fresh.write_text(ATTACH)
            fresh.chmod(0o755)
            fresh.rename(hook)
        home.mkdir(mode=0o700)
        delta.directory("/")
        for tree in laid_down.trees(infrastructure, self.repository):
            delta.copy_tree(tree)
        delta.directory("/root/.ssh", 0o700)
        for file in files:
            delta.write(file.path, file.content, file.mode)
        self._configure(spec, base, home)
        # written last, by renaming: a server without it was never laid out whole and is begun anew
        replace(home / "installed.json", json.dumps({"infrastructure": infrastructure, "host_key": keys[0].public}))

    def _configure(self, spec: MachineSpec, base: Path, folder: Path) -> None:
        """Write to `folder` what LXC has to know of a server that stands, or will stand, at its place."""
        (folder / "config").write_text(
            CONFIG.format(
                base=base,
                home=self.servers / spec.name,
                hook=self.servers / ".attach",
                name=spec.name,
                management_mac=hardware_address(0, spec.management_address),
                lan_mac=hardware_address(1, spec.lan_address),
                management_address=spec.management_address,
                lan_address=spec.lan_address,
                lan_address6=spec.lan_address6,
                router_address=spec.router_address,
                router_address6=spec.router_address6,
            )
        )

    def _kept(self, label: str) -> Path:
        if not NAME.fullmatch(label):
            raise MachineError(f"{label!r} is no name of a kept disk: use lower-case letters, digits and '-'.")
        return self.kept / label

    def _kept_host_keys(self, label: str) -> list[HostKey]:
        """Those of a kept disk; the base trees below it have none."""
        delta = self._kept(label) / "delta"
        if not delta.is_dir():
            raise MachineError(f"There is no kept disk {label}: no host keys can be taken from it.")
        return host_keys.of_disk(delta, f"the kept disk {label}")

    def _start(self, spec: MachineSpec) -> Installed:
        record = self._record(spec.name)
        if record is None:
            raise MachineError(f"{spec.name} is wiped: install it first.")
        if not self.running(spec.name):
            self._kill(spec.name)  # what a container whose monitor died left behind
            run(self._lxc("lxc-start", spec.name))
        end = time.monotonic() + self.boot_seconds
        while not (self._answers(spec.management_address) and self._booted(spec.name)):
            if time.monotonic() > end or not self.running(spec.name):
                log = self.servers / spec.name / "lxc.log"
                raise MachineError(f"{spec.name} did not come up within {self.boot_seconds:g} s: see {log}.")
            time.sleep(0.1)
        return Installed(record["host_key"])

    def _answers(self, address: str) -> bool:
        """Whether sshd greets on the address, asked from where the bridges are."""
        probe = ["socat", "-T2", "-u", f"TCP4:{address}:22,connect-timeout=1,readbytes=4", "STDOUT"]
        asked = subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.netns}", *probe],
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        return asked.stdout == b"SSH-"

    def _booted(self, name: str) -> bool:
        """Whether systemd has started all it will: its services answer too, or have failed for good."""
        state = self.execute(name, ["systemctl", "is-system-running"]).stdout.strip()
        return state in (b"running", b"degraded")

    def _init_pid(self, name: str) -> int:
        """The process id of a running server's init, 0 if it does not run."""
        if not (self.servers / name / "config").exists():
            return 0
        asked = subprocess.run(self._lxc("lxc-info", name, "-p", "-H"), capture_output=True, text=True)
        return int(asked.stdout) if asked.returncode == 0 and int(asked.stdout or 0) > 0 else 0

    def _kill(self, name: str) -> None:
        home = self.servers / name
        if (home / "config").exists():
            subprocess.run(self._lxc("lxc-stop", name, "-k"), capture_output=True)
        # a container whose monitor was killed is invisible to lxc-stop; its processes stand on its delta
        end = time.monotonic() + 20
        while pids := processes_on(home / "delta"):
            for pid in pids:
                kill(pid)
            if time.monotonic() > end:
                raise MachineError(f"{name} cannot be stopped: processes {pids} do not end; look at them.")
            time.sleep(0.05)

    def _wipe(self, name: str) -> None:
        home = self.servers / name
        if home.exists():
            self._kill(name)
            (home / "installed.json").unlink(missing_ok=True)
            run(["rm", "-rf", "--one-file-system", "--", str(home)])

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """One verb at a time on one server, whoever calls."""
        self.servers.mkdir(mode=0o755, parents=True, exist_ok=True)
        with open(self.servers / f".{name}.lock", "w") as lock:
            flock(lock, LOCK_EX)
            yield


def run(argv: list[str]) -> str:
    """Run a program and return what it wrote; MachineError with its complaint if it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise MachineError(f"{' '.join(argv[:6])} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def laid_over(config: str) -> Path:
    """The base tree that a server was laid over; its infrastructure may have another one by now."""
    return Path(config.partition("overlay:")[2].partition(":")[0])


def replace(path: Path, text: str) -> None:
    """Write a file by renaming: it has the old text or the new."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text)
    fresh.rename(path)


def hardware_address(port: int, address: str) -> str:
    """A MAC address that follows from an IPv4 address, so that a reinstalled server is found at once."""
    return ":".join(f"{byte:02x}" for byte in (2, port, *ipaddress.IPv4Address(address).packed))


def processes_on(delta: Path) -> list[int]:
    """The processes whose root is the overlay with this writable layer."""
    mark = f"upperdir={delta},".encode()
    pids = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                mounts = Path("/proc", entry.name, "mountinfo").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if mark in mounts:
                pids.append(int(entry.name))
    return pids


def kill(pid: int) -> None:
    """End a process at once; one that has ended already is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
