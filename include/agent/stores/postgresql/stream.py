"""The rows of one table in the order in which they stand: sent, or only hashed.

A table that was just loaded by one COPY holds its rows in the order in which they came, so that one hash over all of
them tells whether they are the same. That is several times quicker than a hash of every row.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from hashlib import blake2b
from io import BufferedReader

from ...host.digest import printable
from ...host.system import refuse
from .digest import columns_of, copied
from .sql import AS_POSTGRES, conninfo, environment, literal, program

Row = list[int | str]


def hashed(database: str, schema: str, table: str, snapshot: str | None = None) -> Row:
    """[rows, hash] of a table now, or as of an exported snapshot."""
    return read(database, schema, table, snapshot, lambda _block: None)


def read(database: str, schema: str, table: str, snapshot: str | None, take: Callable[[bytes], object]) -> Row:
    """Give a table's rows, as COPY puts them out, to `take`; [rows, hash] of them."""
    begin = ["BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"]
    begin += [f"SET TRANSACTION SNAPSHOT {literal(snapshot)}"] if snapshot else []
    argv = [*AS_POSTGRES, program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", conninfo(database)]
    source = copied(schema, table, columns_of(database)[schema, table])
    for statement in [*begin, f"COPY {source} TO STDOUT"]:
        argv += ["-c", statement]
    total, rows = blake2b(digest_size=16), 0
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment(database)) as process:
        assert isinstance(process.stdout, BufferedReader)
        while block := process.stdout.read1(1 << 20):
            take(block)
            total.update(block)
            rows += block.count(b"\n")
    if process.returncode != 0:
        refuse("postgresql_failed", f"The table {printable(table)} of {printable(database)} cannot be read.")
    return [rows, total.hexdigest()]


def main(arguments: list[str]) -> None:
    """`DATABASE SCHEMA TABLE SNAPSHOT DESCRIPTOR`: the rows to stdout; [rows, hash] as JSON to the descriptor."""
    database, schema, table, snapshot, descriptor = arguments
    row = read(database, schema, table, snapshot, sys.stdout.buffer.write)
    sys.stdout.buffer.flush()
    with open(int(descriptor), "w") as file:
        json.dump(row, file)
