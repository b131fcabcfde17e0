"""What a program that has taken over rsync tries from inside the sandbox; run there, in a base tree's namespaces.

`tries(pid, segment)` gives {name: what it got} of those that reached out; `pid` is a process of root's outside and
`segment` shared memory of root's."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
# ptrace, process_vm_readv, pidfd_getfd, init_module, bpf, keyctl, open_by_handle_at, fanotify_init, clone3
_NUMBERS = {
    "x86_64": (101, 310, 438, 175, 321, 250, 304, 300, 435),
    "aarch64": (117, 270, 438, 105, 280, 219, 265, 262, 435),
}
_NEWNS, _NEWUSER = 0x20000, 0x10000000


def _call(call: Callable[..., int], *given: Any) -> int:
    ctypes.set_errno(0)
    result = call(*given)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _unix(name: str) -> bytes:
    line = socket.socket(socket.AF_UNIX)
    line.connect(name)
    return line.recv(100)


def _others(path: str) -> list[str]:
    found = [name for name in os.listdir(path) if name != "alice"]
    if not found:
        raise OSError("nobody else is here")
    return found


def _user_namespace_by_clone3() -> int:
    arguments = (ctypes.c_uint64 * 11)(_NEWUSER, *[0] * 10)
    child = _call(_libc.syscall, _NUMBERS[platform.machine()][-1], arguments, ctypes.sizeof(arguments))
    if child == 0:
        os._exit(0)
    return child


def tries(pid: int, segment: int) -> dict[str, str]:
    syscall, mount = _libc.syscall, _libc.mount
    ptrace, vm_readv, getfd, init_module, bpf, keyctl, by_handle, fanotify, _ = _NUMBERS[platform.machine()]
    handle = b"\x08\0\0\0\x01\0\0\0" + b"\x02" + b"\0" * 7
    every: dict[str, Callable[[], Any]] = {
        "read /etc/shadow": lambda: open("/etc/shadow").read(),
        "read /proc": lambda: os.listdir("/proc"),
        "list other homes": lambda: _others("/home"),
        "write /usr": lambda: open("/usr/x", "w"),
        "write /etc/passwd": lambda: open("/etc/passwd", "a"),
        "write /": lambda: open("/x", "w"),
        "write the home": lambda: open("/home/alice/x", "w"),
        "remount the home": lambda: _call(mount, None, b"/home/alice", None, 32 | 4096, None),
        "mount a tmpfs": lambda: _call(mount, b"t", b"/home/alice", b"tmpfs", 0, None),
        "mount proc": lambda: _call(mount, b"p", b"/home/alice", b"proc", 0, None),
        "unshare mounts": lambda: _call(_libc.unshare, _NEWNS),
        "unshare users": lambda: _call(_libc.unshare, _NEWUSER | _NEWNS),
        "clone users": lambda: _user_namespace_by_clone3(),
        "mknod": lambda: os.mknod("/home/alice/d", 0o60666, os.makedev(8, 0)),
        "chroot": lambda: os.chroot("/usr"),
        "setns": lambda: _call(_libc.setns, 3, 0),
        "ptrace": lambda: _call(syscall, ptrace, 16, pid, None, None),
        "process_vm_readv": lambda: _call(syscall, vm_readv, pid, 0, 0, 0, 0, 0),
        "signal 0": lambda: os.kill(pid, 0),
        "SIGKILL": lambda: os.kill(pid, signal.SIGKILL),
        "SIGKILL to all": lambda: os.kill(-1, signal.SIGKILL),
        "pidfd_getfd": lambda: _call(syscall, getfd, os.pidfd_open(pid), 3, 0),
        "renice": lambda: os.setpriority(os.PRIO_PROCESS, pid, 5),
        "prlimit": lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 3)),
        "scheduler": lambda: os.sched_setaffinity(pid, {0}),
        "abstract socket": lambda: _unix("\0of-root"),
        "TCP": lambda: socket.create_connection(("127.0.0.1", 7777), 2),
        "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
        "shared memory": lambda: _call(_libc.shmat, segment, None, 0),
        "module": lambda: _call(syscall, init_module, 0, 0, b""),
        "bpf": lambda: _call(syscall, bpf, 0, 0, 0),
        "keyring": lambda: _call(syscall, keyctl, 0, -4, 0),
        "set the time": lambda: time.clock_settime(0, 0),
        "host's name": lambda: _call(_libc.sethostname, b"x", 1),
        "reboot": lambda: _call(_libc.reboot, 0x89ABCDEF),
        "swapoff": lambda: _call(_libc.swapoff, b"/x"),
        "open_by_handle_at": lambda: _call(syscall, by_handle, os.open("/home/alice", 0), handle, 0),
        "fanotify": lambda: _call(syscall, fanotify, 0, 0),
        "another's user id": lambda: os.setuid(1501),
    }
    reached = {}
    for name, one in every.items():
        try:
            reached[name] = repr(one())[:80]
        except Exception:
            continue
    return {"tries": str(len(every)), **reached}
