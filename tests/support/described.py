"""What a made-up server says of itself."""

from dataclasses import replace
from typing import Any

from include.agent.verbs.described import Description, Disk

QUIET = Description(
    hostname="made-up",
    debian="13",
    versions={},
    services_down=[],
    boot_id="0",
    agent_digest="0",
    disk=Disk(total_bytes=1 << 40, free_bytes=1 << 39),
    memory_bytes=1 << 33,
    cpus=2,
    test_server=None,
    accounts=[],
    parts=[],
    unclaimed={},
)


def description(**more: Any) -> Description:
    """Of a server with nothing on it, but for what is given."""
    return replace(QUIET, **more)
