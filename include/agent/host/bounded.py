"""What a program answers, within a time and a size: what makes it up may be a customer's."""

import os
import resource
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from typing import Any

MAX_BYTES = 128 << 20
"""Bytes that a program may answer, unless its caller says otherwise."""

_END_SECONDS = 1.0
"""How long one that was ended is waited for."""


def limit_this_process(memory: int) -> None:
    """For a child that reads what customers wrote: so much memory, no file, no core. For good."""
    for limit, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(limit, (most, most))


class TooMuch(Exception):
    """A program answered more than its caller takes; it was ended."""


def answer(
    argv: list[str], data: bytes | None = None, *, timeout: float | None, most: int = MAX_BYTES, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """As `subprocess.run`, which keeps whatever comes. TimeoutExpired and TooMuch leave nothing of it running; with a
    session of its own (`start_new_session`), nothing of what it has started either."""
    stdin = subprocess.DEVNULL if data is None else subprocess.PIPE
    process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    try:
        out, error = _output(process, data, timeout, most)
    except BaseException:
        if options.get("start_new_session"):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        # One that the kernel keeps (its disk or network does not answer) does nothing more once it is let go.
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        raise
    finally:
        for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
            stream.close()
    return subprocess.CompletedProcess(argv, process.returncode, out, error)


def _output(process: subprocess.Popen[bytes], data: bytes | None, timeout: float | None, most: int) -> list[bytes]:
    end = None if timeout is None else time.monotonic() + timeout
    output = {process.stdout: bytearray(), process.stderr: bytearray()}
    unsent = memoryview(data or b"")
    with selectors.DefaultSelector() as ready:
        for stream in output:
            ready.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type]
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            ready.register(process.stdin, selectors.EVENT_WRITE)
        while ready.get_map():
            for key, _ in ready.select(_left(process, end)):
                if key.fileobj is process.stdin:
                    unsent = unsent[_sent(key.fd, unsent) :]
                    ended = not unsent
                else:
                    block = os.read(key.fd, 1 << 16)
                    output[key.fileobj] += block  # type: ignore[index]
                    ended = not block
                if ended:
                    ready.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
            if sum(map(len, output.values())) > most:
                raise TooMuch
    process.wait(_left(process, end))
    return [bytes(text) for text in output.values()]


def _left(process: subprocess.Popen[bytes], end: float | None) -> float | None:
    if end is None:
        return None
    left = end - time.monotonic()
    if left <= 0:
        raise subprocess.TimeoutExpired(process.args, 0)
    return left


def _sent(descriptor: int, data: memoryview) -> int:
    """How much of it is no more to be sent: all, when nobody reads it any more."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(data)
