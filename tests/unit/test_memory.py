"""A bound on memory holds within its block and nowhere else."""

from __future__ import annotations

import resource

import pytest

from include.memory import little_memory


def test_what_would_take_more_ends_alone() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError), little_memory(64 << 20):
        bytearray(256 << 20)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    with little_memory(64 << 20):
        assert len(bytearray(16 << 20)) == 16 << 20
    assert len(bytearray(256 << 20)) == 256 << 20
