"""A place where root can handle a customer's files and a swapped symlink leads nowhere.

rsync has to run as root to keep owners, ACLs and hard links, and so has the walk that compares two copies. Both
run in a mount namespace whose root is an empty, read-only tmpfs with `/usr`, the passwd and group files of the system's
own users and one home directory, with only the capabilities that such a copy needs. Setting it up takes about 2 ms.

So the system's users go by name, since their numbers differ from release to release, and accounts by number: a
neighbour keeps its own wherever it lives, and need not be there yet.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import socket
import struct
import subprocess
import sys
import threading
from typing import Any

from .system import refuse

_NEWNS, _NEWNET = 0x00020000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND = 1, 2, 4, 8, 32, 4096
_REC, _PRIVATE = 16384, 1 << 18
_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
# CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID: not MKNOD, SETFCAP, SYS_ADMIN, SYS_CHROOT, SYS_PTRACE ...
_KEPT_CAPABILITIES = {0, 1, 2, 3, 4}
_STAGE = b"/mnt"
# The ids of accounts and persons, as Debian gives them out.
_FIRST_ACCOUNT, _NOBODY = 1000, 65534
_RELAY = "/relay"
_RELAY_TEXT = """#!/usr/bin/python3 -IS
import json, socket, sys
line = socket.socket(fileno=%d)
socket.send_fds(line, [json.dumps(sys.argv[1:]).encode()], [0, 1])
sys.exit(int(line.recv(8) or b"255"))
"""

_OPENAT2 = 437
# No mount is crossed, no link is followed, and nothing above the start is reached.
_RESOLVE = 0x01 | 0x02 | 0x04 | 0x08

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int, data: bytes | None = None) -> None:
    _check(_libc.mount(source, target, kind, ctypes.c_ulong(flags), data), f"mount on {target!r}")


def enter(home: str, *, writable: bool, relay_fd: int | None = None, owner: tuple[int, int] | None = None) -> None:
    """Move this process, for good, into the sandbox of `home`. Only call it in a process made for it.

    `relay_fd`: a unix socket over which the program at `/relay` hands its stdin and stdout to the process outside
    (see `Client`). With an `owner`, (uid, gid), it is that user's from then on, without any power of root's and
    without a network."""
    source = os.fsencode(home)
    staged = _STAGE + source
    _check(_libc.unshare(_NEWNS | (_NEWNET if owner else 0)), "unshare")
    _mount(None, b"/", None, _REC | _PRIVATE)
    _mount(b"tmpfs", _STAGE, b"tmpfs", _NOSUID | _NODEV, b"mode=755,size=1m")
    for directory in (b"/usr", b"/etc", b"/dev", b"/old"):
        os.mkdir(_STAGE + directory)
    for link in ("bin", "sbin", "lib", "lib64"):
        os.symlink(f"usr/{link}", os.path.join(os.fsdecode(_STAGE), link))
    _bind(b"/usr", _STAGE + b"/usr", _RDONLY | _NOSUID | _NODEV)
    for name in (b"/etc/passwd", b"/etc/group"):
        with open(name, "rb") as file, open(_STAGE + name, "wb") as own:
            own.writelines(line for line in file if _is_of_the_system(line))
    for name in (b"/etc/nsswitch.conf", b"/etc/ld.so.cache", b"/dev/null"):
        if os.path.exists(name):
            with open(_STAGE + name, "wb"):
                pass
            _bind(name, _STAGE + name, _NOSUID | (0 if name == b"/dev/null" else _RDONLY | _NODEV))
    os.makedirs(staged)
    _bind(source, staged, _NOSUID | _NODEV | _NOEXEC | (0 if writable else _RDONLY))
    if relay_fd is not None:
        with open(os.fsdecode(_STAGE) + _RELAY, "w") as relay:
            relay.write(_RELAY_TEXT % relay_fd)
            os.fchmod(relay.fileno(), 0o755)
    _mount(None, _STAGE, None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)
    os.chdir(_STAGE)
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"no pivot_root number for {platform.machine()}")
    _check(_libc.syscall(number, b".", b"old"), "pivot_root")
    os.chdir("/")
    _check(_libc.umount2(b"/old", _DETACH), "umount")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    for capability in range(64):
        if capability not in _KEPT_CAPABILITIES:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails only past the last capability
    if owner:
        os.setgroups([])
        os.setresgid(owner[1], owner[1], owner[1])
        os.setresuid(owner[0], owner[0], owner[0])  # which gives up every capability
        return
    kept = sum(1 << capability for capability in _KEPT_CAPABILITIES)
    header = struct.pack("=Ii", 0x20080522, 0)
    _check(_libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)), "capset")


def _is_of_the_system(line: bytes) -> bool:
    """Whether a line of passwd or group names one of the operating system's own, not a person's or an account's."""
    number = line.split(b":")[2:3]
    return bool(number and number[0].isdigit()) and not _FIRST_ACCOUNT <= int(number[0]) < _NOBODY


def open_beneath(directory: int, path: bytes, flags: int) -> int:
    """Open `path` below an open directory, itself included as `.`, where no part of it is a link; raises OSError."""
    how = struct.pack("=QQQ", flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0, _RESOLVE)
    descriptor = _libc.syscall(_OPENAT2, directory, path, how, len(how))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return descriptor


def _bind(source: bytes, target: bytes, flags: int) -> None:
    _mount(source, target, None, _BIND)
    _mount(None, target, None, _REMOUNT | _BIND | flags)


def python_argv(module: str, *arguments: str) -> list[str]:
    """The command that runs `main(arguments)` of a module of this package, from the tree or from the zipapp."""
    package = __package__ or ""
    root = os.path.abspath(__file__)
    for _ in range(package.count(".") + 2):
        root = os.path.dirname(root)
    code = (
        "import sys, importlib; sys.path.insert(0, sys.argv[1]);"
        " importlib.import_module(sys.argv[2]).main(sys.argv[3:])"
    )
    return [sys.executable, "-I", "-c", code, root, f"{package}.{module}", *arguments]


def main(arguments: list[str]) -> None:
    """`HOME RELAY_FD program arguments...`: enter the read-only sandbox of HOME and become the program."""
    home, relay_fd, *argv = arguments
    enter(home, writable=False, relay_fd=int(relay_fd))
    os.execve(argv[0], argv, {"PATH": "/usr/bin", "LC_ALL": "C"})


class Client:
    """An rsync client over `home` (read-only) in the sandbox; its remote shell runs outside.

    The sandbox holds no key and no ssh: rsync starts `/relay`, which passes its stdin, its stdout and the remote
    command to this process, and `remote_argv` + [command] is started here on those very descriptors. `argv` must
    contain `-e /relay` (`relay_shell()`) and a path of the form `peer:...`."""

    def __init__(self, home: str, argv: list[str], remote_argv: list[str]) -> None:
        self.argv = argv
        self._said: list[str] = []
        ours, theirs = socket.socketpair()
        with theirs:
            self._relay = threading.Thread(target=_connect, args=(ours, remote_argv, self._said), daemon=True)
            self._relay.start()
            self.process = subprocess.Popen(
                python_argv("files_sandbox", home, str(theirs.fileno()), *argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )

    def finish(self, given: bytes = b"") -> subprocess.CompletedProcess[str]:
        """Give it its input, and wait for its end."""
        out, err = (text.decode("utf-8", "backslashreplace") for text in self.process.communicate(given))
        self._relay.join(timeout=10)
        return subprocess.CompletedProcess(self.argv, self.process.returncode, out, "".join(self._said) + err)

    def abandon(self) -> None:
        """End it at once; what it is connected to ends with it."""
        self.process.kill()
        threading.Thread(target=self.finish, daemon=True).start()


def _connect(line: socket.socket, remote_argv: list[str], said: list[str]) -> None:
    with line:
        _relay(line, remote_argv, said)


def _relay(line: socket.socket, remote_argv: list[str], said: list[str]) -> None:
    request, descriptors, _, _ = socket.recv_fds(line, 1 << 16, 2)
    if len(descriptors) != 2:
        return
    try:
        command = " ".join(json.loads(request)[1:])
        process = subprocess.Popen(
            [*remote_argv, command],
            stdin=descriptors[0],
            stdout=descriptors[1],
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    said.append(process.communicate()[1])
    code = process.returncode
    try:
        line.sendall(str(code if code >= 0 else 255).encode())
    except OSError:
        pass  # rsync has already gone; its own exit code tells why


def relay_shell() -> list[str]:
    """The rsync option that makes it speak through a `Client`."""
    return ["-e", _RELAY]


def call(home: str, module: str, *arguments: str, request: Any) -> bytes:
    """Run `main(arguments)` of a module of this package in a process of its own; JSON in, bytes out."""
    done = subprocess.run(
        python_argv(module, home, *arguments), input=json.dumps(request).encode(), capture_output=True
    )
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()[-1:] or ["no message"]
        refuse("files_walk_failed", f"The files in {home} could not be read: {last[0]}.")
    return done.stdout
