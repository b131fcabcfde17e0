"""The sum of a table's rows, as they come out of a stream: the same however they are cut, for any length of a row."""

from __future__ import annotations

import io
import resource
import struct
import time
from hashlib import blake2b
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import IO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.agent.stores.postgresql import digest

END = b"0123456789abcdef0123456789abcdef"


def one_by_one(tables: list[list[bytes]]) -> list[list[int]]:
    """What the sums are by their definition."""
    hashes = [[struct.unpack("<Q", blake2b(row, digest_size=8).digest())[0] for row in rows] for rows in tables]
    return [[len(rows), sum(rows) % 2**64] for rows in hashes]


def stream(tables: list[list[bytes]]) -> io.BytesIO:
    return io.BytesIO(b"".join(line + b"\n" for rows in tables for line in (*rows, END)))


rows = st.lists(st.binary(max_size=60).map(lambda row: row.replace(b"\n", b"n")).filter(lambda row: row != END))


@given(st.lists(rows, max_size=4), st.integers(1, 40))
def test_sums_do_not_depend_on_where_the_stream_is_cut(tables: list[list[bytes]], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest, "_BLOCK", max(block, len(END)))
        assert digest.sums(stream(tables), END) == one_by_one(tables)


class LongRow(io.RawIOBase):
    """A row of so many bytes between two short ones, never all of it in memory."""

    def __init__(self, size: int) -> None:
        self.left: list[bytes | int] = [b"a\n", size, b"\nb\n", END + b"\n"]

    def read(self, most: int = -1) -> bytes:
        if not self.left:
            return b""
        first = self.left.pop(0)
        if isinstance(first, bytes):
            return first
        given = min(most, first)
        if given < first:
            self.left.insert(0, first - given)
        return b"x" * given


def _take(size: int, sent: Connection) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    found = digest.sums(cast(IO[bytes], LongRow(size)), END)
    sent.send((found, time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))


def test_a_row_of_a_gigabyte_takes_no_memory_and_linear_time() -> None:
    here, there = get_context("fork").Pipe()
    process = get_context("fork").Process(target=_take, args=(1 << 30, there))
    process.start()
    try:
        assert here.poll(120)
        ((count, _),), seconds, grown = here.recv()
    finally:
        process.kill()
        process.join()
    assert count == 3
    assert seconds < 30, "600 s, were it quadratic"
    assert grown < 30 << 10
