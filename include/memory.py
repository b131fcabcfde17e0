"""A bound on the memory of whoever reads what customers wrote: a mistake there ends one task, not the machine."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

MAX_BYTES = 1 << 30


@contextmanager
def little_memory(more: int = MAX_BYTES) -> Iterator[None]:
    """Within it the process may grow by so many bytes; beyond them MemoryError. No program may be started in it: it
    would have the same bound for as long as it runs."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as pages:
        has = int(pages.read().split()[0]) * resource.getpagesize()
    most = has + more if before[1] == resource.RLIM_INFINITY else min(has + more, before[1])
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
