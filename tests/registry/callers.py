"""Many callers at once, each on a connection of its own."""

import threading
from concurrent.futures import ThreadPoolExecutor

from include.registry import RegistryRefused


def at_once(connect, calls):
    """Run every call on a connection of its own, all released by one barrier; results or Refused."""
    connections = [connect() for _ in calls]
    barrier = threading.Barrier(len(calls))

    def run(call, connection):
        barrier.wait()
        try:
            return call(connection)
        except RegistryRefused as refusal:
            return refusal

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls, connections))
