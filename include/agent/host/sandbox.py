"""A place where root can handle a customer's files and a swapped symlink leads nowhere.

rsync has to run as root to keep owners, ACLs and hard links, and so has the walk that compares two copies. Both
run in a mount namespace whose root is an empty, read-only tmpfs with `/usr`, the passwd and group files of the system's
own users and one home directory, with only the capabilities that such a copy needs. No process, network, socket, shared
memory or keyring of the host is seen from there. Setting it up takes a few ms.

In the home's place there may be an account's folders among the mail system's (`together`), below `/messages`, in
folders that are the same on every server. Who owns them is called OWNER there: each server has a user of its own for
that. The messages of all accounts are his, so a link in one of these folders could lead into another's: no program
makes one there but that which looks where it leads.

So the system's users go by name, since their numbers differ from release to release, and accounts by number: a
neighbour keeps its own wherever it lives, and need not be there yet.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any, NoReturn

from . import kept
from .system import refuse

_NEWNS, _NEWIPC, _NEWPID, _NEWNET = 0x00020000, 0x08000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND = 1, 2, 4, 8, 32, 4096
_REC, _PRIVATE = 16384, 1 << 18
_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 22, 24, 38
# What the kernel calls the processor; clone there; and add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd,
# unshare and setns: what no namespace keeps apart, or is no business of a program that reads and writes files.
_CALLS = {
    "x86_64": (0xC000003E, 56, (248, 249, 250, 321, 298, 323, 272, 308)),
    "aarch64": (0xC00000B7, 220, (217, 218, 219, 280, 241, 282, 97, 268)),
}
_MAKES_LINKS = {"x86_64": (88, 266), "aarch64": (36,)}  # symlink, symlinkat
_IO_URING_SETUP, _CLONE3, _FIRST_OTHER_CALL = 425, 435, 0x40000000
_NEWUSER = 0x10000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOWED, _REFUSED, _UNKNOWN = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
# CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID: not MKNOD, SETFCAP, SYS_ADMIN, SYS_CHROOT, SYS_PTRACE ...
_KEPT_CAPABILITIES = {0, 1, 2, 3, 4}
_STAGE = b"/mnt"
# The ids of accounts and persons, as Debian gives them out.
_FIRST_ACCOUNT, _NOBODY = 1000, b"65534"
MESSAGES = "/messages"
OWNER = "messages"
_MADE = 1_000_000_000
"""When the folders above those of messages were made, on every server."""
_RELAY = "/relay"
_RELAY_TEXT = """#!/usr/bin/python3 -IS
import socket, sys
line = socket.socket(fileno=%d)
socket.send_fds(line, [b"-"], [0, 1])
sys.exit(int(line.recv(8) or b"255"))
"""

_OPENAT2 = 437
# No mount is crossed, no link is followed, and nothing above the start is reached.
_RESOLVE = 0x01 | 0x02 | 0x04 | 0x08
_CROSSING, _NO_LINKS = 0x02 | 0x04 | 0x08, 0x02 | 0x04

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int, data: bytes | None = None) -> None:
    _check(_libc.mount(source, target, kind, ctypes.c_ulong(flags), data), f"mount on {target!r}")


def together(folders: Iterable[str]) -> str:
    """What the functions here take in the place of a home: these folders of messages."""
    return ":".join(["", *folders])


def is_together(home: str) -> bool:
    return home.startswith(":")


def root_of(home: str) -> str:
    """What is called so in the sandbox."""
    return MESSAGES if is_together(home) else home


def devices(home: str) -> set[int]:
    """The file systems that are seen of it in the sandbox."""
    root = root_of(home)
    return {os.lstat(path).st_dev for path in (root, *(root + folder for folder in home.split(":")[1:]))}


def shown(home: str) -> str:
    """What it is called in sentences."""
    return ", ".join(home.split(":")[1:4]) if is_together(home) else home


def enter(
    home: str,
    *,
    writable: bool,
    relay_fd: int | None = None,
    owner: tuple[int, int] | None = None,
    makes_links: bool = False,
) -> None:
    """Go on, for good, in the sandbox of `home`. Only call it in a process made for it, before it has much in memory.

    What goes on is a child, the first process of its namespace: this one waits for it, ends as it does, and it dies
    with this one.
    `relay_fd`: a unix socket over which the program at `/relay` hands its stdin and stdout to the process outside
    (see `Client`). With an `owner`, (uid, gid), it is that user's from then on, without any power of root's.
    `makes_links`: among messages too, by a program that looks where they lead."""
    parent = os.pidfd_open(os.getpid())
    _check(_libc.unshare(_NEWNS | _NEWIPC | _NEWPID | _NEWNET), "unshare")
    if child := os.fork():
        _end_as(child)
    _furnish(home, writable, relay_fd)
    _give_up_powers(owner, refused=() if makes_links or not is_together(home) else _MAKES_LINKS[platform.machine()])
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "pdeathsig")
    if select.select([parent], [], [], 0)[0]:
        os._exit(255)  # it has died already
    os.close(parent)


def _end_as(child: int) -> NoReturn:
    """Wait for a child, and end as it does."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def _furnish(home: str, writable: bool, relay_fd: int | None) -> None:
    """Give this process a root of its own, in which little is."""
    _mount(None, b"/", None, _REC | _PRIVATE)
    _mount(b"tmpfs", _STAGE, b"tmpfs", _NOSUID | _NODEV, b"mode=755,size=1m")
    for directory in (b"/usr", b"/etc", b"/dev", b"/old"):
        os.mkdir(_STAGE + directory)
    for link in ("bin", "sbin", "lib", "lib64"):
        os.symlink(f"usr/{link}", os.path.join(os.fsdecode(_STAGE), link))
    _bind(b"/usr", _STAGE + b"/usr", _RDONLY | _NOSUID | _NODEV)
    folders = [(folder, open_folder(folder)) for folder in home.split(":")[1:]]
    for name in (b"/etc/passwd", b"/etc/group"):
        with open(name, "rb") as file, open(_STAGE + name, "wb") as own:
            own.writelines(_owners_line(os.fstat(descriptor), name) for _, descriptor in folders[:1])
            own.writelines(line for line in file if _is_of_the_system(line))
    for name in (b"/etc/nsswitch.conf", b"/etc/ld.so.cache", b"/dev/null"):
        if os.path.exists(name):
            with open(_STAGE + name, "wb"):
                pass
            _bind(name, _STAGE + name, _NOSUID | (0 if name == b"/dev/null" else _RDONLY | _NODEV))
    flags = _NOSUID | _NODEV | _NOEXEC | (0 if writable else _RDONLY)
    if folders:
        _lay_out(folders, flags)
    else:
        os.makedirs(_STAGE + os.fsencode(home))
        _bind(os.fsencode(home), _STAGE + os.fsencode(home), flags)
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


def _owners_line(folder: os.stat_result, name: bytes) -> bytes:
    """OWNER in passwd or group, before whatever else has that number: nothing where it is root's."""
    number = folder.st_uid if name.endswith(b"passwd") else folder.st_gid
    rest = b"%d::/:" % folder.st_gid if name.endswith(b"passwd") else b""
    return b"%s:x:%d:%s\n" % (OWNER.encode(), number, rest) if number else b""


def _lay_out(folders: list[tuple[str, int]], flags: int) -> None:
    """Show these folders, which are open, below one; those above them look the same on every server."""
    top = os.fsdecode(_STAGE) + MESSAGES
    above = {top}
    for folder, _ in folders:
        os.makedirs(top + folder)
        parts = folder.split("/")[1:-1]
        above |= {"/".join([top, *parts[: at + 1]]) for at in range(len(parts))}
    for path in above:
        os.chmod(path, 0o755)
        os.utime(path, (_MADE, _MADE))
    for folder, descriptor in folders:
        _bind(b"/proc/self/fd/%d" % descriptor, os.fsencode(top + folder), flags)
        os.close(descriptor)


def open_folder(folder: str) -> int:
    """Open a folder, only to be spoken of, where no part of its path is a link; raises OSError."""
    return _open_at(-100, os.fsencode(folder), os.O_PATH | os.O_DIRECTORY, _NO_LINKS)


def _give_up_powers(owner: tuple[int, int] | None, refused: tuple[int, ...]) -> None:
    """Keep only what a copy needs of root's powers, or nothing of them."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    for capability in range(64):
        if capability not in _KEPT_CAPABILITIES:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails only past the last capability
    if owner:
        os.setgroups([])
        os.setresgid(owner[1], owner[1], owner[1])
        os.setresuid(owner[0], owner[0], owner[0])  # which gives up every capability
    else:
        capabilities = sum(1 << capability for capability in _KEPT_CAPABILITIES)
        header = struct.pack("=Ii", 0x20080522, 0)
        _check(_libc.capset(header, struct.pack("=6I", capabilities, capabilities, 0, 0, 0, 0)), "capset")
    _refuse_calls(refused)


def _refuse_calls(more: tuple[int, ...]) -> None:
    """Have the kernel refuse some calls, all user namespaces, and whatever is called by another processor's numbers."""
    architecture, clone, refused = _CALLS[platform.machine()]
    # Each line: what to do, a number, and which answer where it is so (or, for the first comparison, where it is not).
    lines = [(_LOAD, 4, None), (_EQUAL, architecture, _REFUSED), (_LOAD, 0, None)]
    lines += [(_AT_LEAST, _FIRST_OTHER_CALL, _REFUSED)]
    lines += [(_EQUAL, number, _REFUSED) for number in (*refused, *more, _IO_URING_SETUP)]
    # Its flags lie in memory; what calls it falls back to clone.
    lines += [(_EQUAL, _CLONE3, _UNKNOWN), (_EQUAL, clone, None), (_LOAD, 16, None), (_ANY_BIT, _NEWUSER, _REFUSED)]
    answers = (_ALLOWED, _REFUSED, _UNKNOWN)
    program = b""
    for place, (instruction, number, answer) in enumerate(lines):
        left = len(lines) - place - 1
        so = answers.index(answer) + left if answer else 0
        not_so = 0
        if number == architecture:
            so, not_so = 0, so
        elif (instruction, number) == (_EQUAL, clone):
            not_so = left  # allowed
        program += struct.pack("=HBBI", instruction, so, not_so, number)
    program += b"".join(struct.pack("=HBBI", _ANSWER, 0, 0, answer) for answer in answers)
    held = ctypes.create_string_buffer(program, len(program))
    filtered = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    _check(_libc.prctl(_PR_SET_SECCOMP, 2, filtered, 0, 0), "seccomp")


def _is_of_the_system(line: bytes) -> bool:
    """Whether a line of passwd or group names one of the operating system's own, not a person's or an account's."""
    number = line.split(b":")[2:3]
    return bool(number and number[0].isdigit()) and (int(number[0]) < _FIRST_ACCOUNT or number[0] == _NOBODY)


def open_beneath(directory: int, path: bytes, flags: int, *, crossing: bool = False) -> int:
    """Open `path` below an open directory, itself included as `.`, where no part of it is a link; raises OSError.
    `crossing`: also where a mount is crossed."""
    return _open_at(directory, path, flags, _CROSSING if crossing else _RESOLVE)


def _open_at(directory: int, path: bytes, flags: int, resolve: int) -> int:
    how = struct.pack("=QQQ", flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0, resolve)
    descriptor = _libc.syscall(_OPENAT2, directory, path, how, len(how))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return descriptor


def _bind(source: bytes, target: bytes, flags: int) -> None:
    _mount(source, target, None, _BIND)
    _mount(None, target, None, _REMOUNT | _BIND | flags)


def python_argv(module: str, *arguments: str) -> list[str]:
    """The command that runs `main(arguments)` of a module (its `__name__`), from the tree or from the zipapp. It is a
    run of its own."""
    root = os.path.abspath(__file__)
    for _ in __name__.split("."):
        root = os.path.dirname(root)
    code = (
        "import sys, importlib; sys.path.insert(0, sys.argv[1])\n"
        f"with importlib.import_module({kept.__name__!r}).Kept():\n"
        " importlib.import_module(sys.argv[2]).main(sys.argv[3:])"
    )
    return [sys.executable, "-I", "-c", code, root, module, *arguments]


def main(arguments: list[str]) -> None:
    """`HOME RELAY_FD program arguments...`: enter the read-only sandbox of HOME and become the program."""
    home, relay_fd, *argv = arguments
    enter(home, writable=False, relay_fd=int(relay_fd))
    os.execve(argv[0], argv, {"PATH": "/usr/bin", "LC_ALL": "C"})


class Client:
    """An rsync client over `home` (read-only) in the sandbox; its remote shell runs outside.

    The sandbox holds no key and no ssh: rsync starts `/relay`, which passes its stdin and its stdout to this process,
    and `remote_argv` is started here on those very descriptors, once. Nothing else that comes from there is heard.
    `argv` must contain `-e /relay` (`relay_shell()`) and a path of the form `peer:...`."""

    def __init__(self, home: str, argv: list[str], remote_argv: list[str]) -> None:
        self.argv = argv
        self._errors: list[str] = []
        ours, theirs = socket.socketpair()
        with theirs:
            self._relay = threading.Thread(target=_connect, args=(ours, remote_argv, self._errors), daemon=True)
            self._relay.start()
            self.process = subprocess.Popen(
                python_argv(__name__, home, str(theirs.fileno()), *argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )

    def finish(self, data: bytes = b"") -> subprocess.CompletedProcess[str]:
        """Give it its input, and wait for its end."""
        out, err = (text.decode("utf-8", "backslashreplace") for text in self.process.communicate(data))
        self._relay.join(timeout=10)
        return subprocess.CompletedProcess(self.argv, self.process.returncode, out, "".join(self._errors) + err)

    def abandon(self) -> None:
        """End it at once; what it is connected to ends with it."""
        self.process.kill()
        threading.Thread(target=self.finish, daemon=True).start()


def _connect(line: socket.socket, remote_argv: list[str], errors: list[str]) -> None:
    with line:
        _relay(line, remote_argv, errors)


def _relay(line: socket.socket, remote_argv: list[str], errors: list[str]) -> None:
    _, descriptors, _, _ = socket.recv_fds(line, 1, 2)
    try:
        if len(descriptors) != 2:
            return
        process = subprocess.Popen(
            remote_argv,
            stdin=descriptors[0],
            stdout=descriptors[1],
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    errors.append(process.communicate()[1])
    code = process.returncode
    try:
        line.sendall(str(code if code >= 0 else 255).encode())
    except OSError:
        pass  # rsync has already gone; its own exit code tells why


def relay_shell() -> list[str]:
    """The rsync option that makes it speak through a `Client`."""
    return ["-e", _RELAY]


def call(home: str, module: str, *arguments: str, request: Any) -> bytes:
    """Run `main(arguments)` of a module (its `__name__`) in a process of its own; JSON in, bytes out."""
    done = subprocess.run(
        python_argv(module, home, *arguments), input=json.dumps(request).encode(), capture_output=True
    )
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()[-1:] or ["no message"]
        refuse("files_walk_failed", f"The files in {shown(home)} could not be read: {last[0]}.")
    return done.stdout
