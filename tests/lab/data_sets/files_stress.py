"""SEED SECONDS, run by the account: everything that can be done to a tree, at random, some hundred times a second."""

import contextlib
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import time
from collections.abc import Callable

choice = random.Random(int(sys.argv[1]))
NAMES = [b"a", b"b", b"c", b"new\nline", b"t\tab", b"back\\slash", b"-rf", b"#x", b"; y", b"\xff", b" ", b"*"]
MAPPED: list[mmap.mmap] = []
top = os.fsencode(os.getcwd()) + b"/stress"
os.makedirs(top, exist_ok=True)
os.makedirs(top + b"-maps", exist_ok=True)


def hurry(*_: object) -> None:
    """A named pipe stops whoever opens it."""
    raise OSError("too long")


signal.signal(signal.SIGALRM, hurry)


def listed() -> tuple[list[bytes], list[bytes], list[bytes]]:
    directories: list[bytes] = [top]
    files: list[bytes] = []
    others: list[bytes] = []
    for at, below, names in os.walk(top):
        directories += [at + b"/" + name for name in below if not os.path.islink(at + b"/" + name)]
        for name in names:
            path = at + b"/" + name
            (others if os.path.islink(path) or not os.path.isfile(path) else files).append(path)
    return directories, files, others


def put(path: bytes, data: bytes = b"x", how: int = os.O_APPEND) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | how, 0o666)  # a pipe does not stop it
    os.write(descriptor, data)
    os.close(descriptor)


def made(directory: bytes) -> None:
    """A new directory with a file."""
    os.makedirs(directory)
    put(directory + b"/in")


def made_instead(file: bytes) -> None:
    """A directory in a file's place."""
    os.unlink(file)
    made(file)


def replaced(file: bytes) -> None:
    """Something else stands in a file's place for a moment."""
    os.rename(file, file + b"~")
    put(file)
    os.rename(file + b"~", file)


def copied(directory: bytes, to: bytes) -> None:
    if directory != top:
        shutil.copytree(os.fsdecode(directory), os.fsdecode(to), symlinks=True)


def forged(path: bytes) -> None:
    """Other content, same size and time."""
    before = os.stat(path)
    with open(path, "r+b") as file:
        file.write(b"Z")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def mapped() -> None:
    """Files written through mappings that stay open; nobody else truncates them."""
    if len(MAPPED) < 20:
        with open(b"%s-maps/%d" % (top, len(MAPPED)), "w+b") as file:
            file.truncate(5000)
            MAPPED.append(mmap.mmap(file.fileno(), 5000))
    choice.choice(MAPPED)[choice.randrange(5000)] = choice.randrange(256)


def swapped(directory: bytes) -> None:
    """A directory becomes a link to another one for a moment, and something is written behind the link."""
    aside = top + b"/aside%d" % choice.randrange(1 << 30)
    os.rename(directory, aside)
    os.symlink(choice.choice([aside, b"/etc", top]), directory)
    with contextlib.suppress(OSError):
        put(directory + b"/behind")
    if choice.random() < 0.8:
        os.unlink(directory)
        os.rename(aside, directory)


def acl(path: bytes) -> None:
    rows = [
        (1, 6, 0xFFFFFFFF),
        (2, choice.randrange(8), 33),
        (4, 4, 0xFFFFFFFF),
        (16, 7, 0xFFFFFFFF),
        (32, 0, 0xFFFFFFFF),
    ]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in rows)
    os.setxattr(path, "system.posix_acl_access", value, follow_symlinks=False)


def act(directories: list[bytes], files: list[bytes], others: list[bytes]) -> None:
    at = choice.choice(directories)
    name = choice.choice([*NAMES, b"%d" % choice.randrange(1000)])
    path = at + b"/" + name
    one = choice.choice(files or [path])
    any_ = choice.choice([*directories[1:], *files, *others] or [path])
    size = choice.randrange(40_000)
    do: list[Callable[[], object]] = [
        lambda: put(path),
        lambda: put(one, os.urandom(size)),
        lambda: put(one, b"new", os.O_TRUNC),
        lambda: made(path),
        lambda: made(path + b"/deep/er"),
        lambda: os.rename(any_, path),
        lambda: os.rename(any_, path),
        lambda: replaced(one),
        lambda: shutil.rmtree(any_, ignore_errors=True) if choice.random() < 0.3 else os.unlink(any_),
        lambda: os.link(one, path),
        lambda: os.link(one, path),
        lambda: os.symlink(choice.choice([b"..", b"/etc", b"a", b"nowhere"]), path),
        lambda: os.chmod(any_, choice.choice([0o600, 0o644, 0o755, 0o700, 0o4755, 0o2775])),
        lambda: os.setxattr(any_, "user.n", os.urandom(8), follow_symlinks=False),
        lambda: acl(any_),
        lambda: os.utime(any_, ns=(1, choice.randrange(10**18)), follow_symlinks=False),
        lambda: os.truncate(one, size * 10),
        lambda: copied(at, top + b"/copy" + name),
        lambda: swapped(choice.choice(directories[1:] or [path])),
        lambda: os.mkfifo(path),
        lambda: forged(one),
        mapped,
        lambda: made_instead(one),
    ]
    signal.setitimer(signal.ITIMER_REAL, 1)
    with contextlib.suppress(OSError, shutil.Error):
        choice.choice(do)()
    with contextlib.suppress(OSError):
        signal.setitimer(signal.ITIMER_REAL, 0)


end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    os.makedirs(top, exist_ok=True)
    found = listed()
    if sum(map(len, found)) > 600:
        shutil.rmtree(choice.choice(found[0]), ignore_errors=True)
    for _ in range(20):
        act(*found)
    time.sleep(0.05)
signal.pause()
