"""What a PostgreSQL database holds, as a digest that is the same on every version from 15 on.

Rows are hashed as the text that COPY puts out (output functions alone, no casts or operators of a customer) and the
hashes are added up, so the order does not matter. Generated columns follow from the others and are left out.
What is defined is described by postgres_inventory.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from hashlib import blake2b
from typing import IO, Any

from ...host.digest import printable
from ...host.kept import Threads
from ...host.sandbox import python_argv
from ...host.system import refuse
from . import locks
from .extensions import CARRIED, CONDITION
from .inventory import NO_EXTENSION, USER_SCHEMA, acl, inventory, of_roles, parsed
from .sql import AS_POSTGRES, Session, conninfo, environment, ident, literal, program, query

# Leaf partitions are plain tables; their parents hold nothing. Foreign tables are somebody else's data, and
# materialized views are compared by those who may read them (postgres_look).
TABLES = (
    "SELECT json_build_array('table', n.nspname, o.relname, (SELECT json_agg(a.attname ORDER BY a.attname COLLATE"
    ' "C") FROM pg_attribute a WHERE a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated ='
    " ''), " + CONDITION + ") FROM pg_class o JOIN pg_namespace n ON n.oid ="
    " o.relnamespace WHERE o.relkind = 'r' AND o.relpersistence <> 't' AND "
    + USER_SCHEMA.format("o.relnamespace")
    + " AND ("
    + NO_EXTENSION.format(catalog="pg_class", alias="o")
    + " OR o.oid IN (SELECT unnest(extconfig) FROM pg_extension)) ORDER BY n.nspname, o.relname;\n"
)
# What a sequence was set to and has not yet given out does not show here; its parameters are facts.
_SEQUENCES = (
    "SELECT json_build_array('sequence', format('%I.%I', n.nspname, o.relname), pg_sequence_last_value(o.oid))"
    " FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace JOIN pg_sequence s ON s.seqrelid = o.oid"
    f" WHERE o.relpersistence <> 't' AND {CARRIED.format('o.oid')};\n"
)
# A large object may have holes, which come out of a restore as zeros: pages are hashed without their trailing zeros.
_LARGE_OBJECT = (
    "SELECT o.oid, size, hashtextextended(concat_ws(' ', o.oid, pg_get_userbyid(o.lomowner), size, pages, "
    + acl("o.lomacl", "'L'", "o.lomowner")
    + "::text, obj_description(o.oid, 'pg_largeobject')), 0) AS hash FROM pg_largeobject_metadata o LEFT JOIN LATERAL"
    " (SELECT max(pageno::int8 * 2048 + octet_length(data)) AS size, sum(CASE WHEN octet_length(rtrim(data, '\\x00'))"
    " > 0 THEN hashtextextended(concat(pageno, ' ', encode(rtrim(data, '\\x00'), 'hex')), 0) ELSE 0 END) AS pages"
    " FROM pg_largeobject p WHERE p.loid = o.oid) x ON true"
)
_LARGE_OBJECTS = (
    "SELECT json_build_array('large objects', count(*), coalesce(sum(size), 0), coalesce(sum(hash), 0))"
    f" FROM ({_LARGE_OBJECT}) o;\n"
)
EACH_LARGE_OBJECT = f"SELECT json_build_array(oid::text, hash) FROM ({_LARGE_OBJECT}) o;\n"


def of_database(
    database: str,
    snapshot: str | None = None,
    identities: dict[int, str] | None = None,
    hashed: dict[str, Any] | None = None,
    roles: Sequence[str] = (),
) -> dict[str, Any]:
    """{"tables": {name: [rows, sum]}, "sequences", "large objects", "objects": {kind: {identity: facts}}}.

    As of now, or of an exported snapshot; tables whose hashes are given (`hashed`) are not read."""
    objects = of_roles(_LARGE_OBJECTS, roles) + inventory(identities or {}, roles)
    script = _BEGIN + _at(snapshot) + TABLES + _SEQUENCES + objects + "COMMIT;\n"
    result: dict[str, Any] = {"sequences": {}, "objects": {}, "tables": dict(hashed or {})}
    tables = []
    with Session(database) as session:
        lines = session.lines(script)
    for line in lines:
        kind, *rest = parsed(line)
        if kind == "table" and shown(*rest[:2]) not in result["tables"]:
            tables.append((rest[0], rest[1]))
        elif kind == "sequence":
            result["sequences"][rest[0]] = rest[1:]
        elif kind == "object":
            result["objects"].setdefault(rest[0], {})[rest[1]] = rest[2]
        elif kind == "large objects":
            result[kind] = rest
    result["tables"] |= of_tables(database, tables, snapshot)
    return result


_BEGIN = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;\n"


def _at(snapshot: str | None) -> str:
    return f"SET TRANSACTION SNAPSHOT {literal(snapshot)};\n" if snapshot else ""


def of_tables(database: str, tables: list[tuple[str, str]], snapshot: str | None = None) -> dict[str, list[int]]:
    """{table: [rows, sum]} of these tables, (schema, name) each."""
    with Threads(os.cpu_count()) as pool:
        shares = [tables[start :: os.cpu_count() or 1] for start in range(os.cpu_count() or 1)]
        parts = pool.map(lambda share: _contents(database, share, snapshot), shares)
        return {name: count for part in parts for name, count in part.items()}


def _contents(database: str, tables: list[tuple[str, str]], snapshot: str | None) -> dict[str, list[int]]:
    if not tables:
        return {}
    request = json.dumps([database, tables, snapshot]).encode()
    done = subprocess.run(python_argv(__name__), input=request, capture_output=True)
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()[-1:] or ["no message"]
        refuse("postgresql_failed", f"The tables of {printable(database)} cannot be read: {printable(last[0])}")
    return json.loads(done.stdout)


def main(arguments: list[str]) -> None:
    """stdin: [database, [[schema, table]], snapshot]; stdout: {"schema.table": [rows, sum of the rows' hashes]}.

    The rows come by COPY, as pg_dump reads them. A SELECT would have to be planned, and a plan works out constant
    parts of a table's index predicates: functions of the customer, which would run as the superuser."""
    database, tables, snapshot = json.load(sys.stdin)
    token = secrets.token_hex(16)  # ends a table's rows; nobody can have put it into a row
    # Bytes are hashed as they are stored, also where they are text in no encoding.
    script = "SELECT getdatabaseencoding() AS encoding \\gset\n\\encoding :encoding\n" + _BEGIN + _at(snapshot)
    sources = {(schema, table): _copying(schema, table, *rest) for _, schema, table, *rest in query(TABLES, database)}
    for number, (schema, table) in enumerate(tables, 1):
        script += f"{sources[schema, table]}\\echo {token}\n"
        if number % locks.MOST == 0:  # nothing is changed where no snapshot is given
            script += f"COMMIT;\n{_BEGIN}{_at(snapshot)}"
    argv = [*AS_POSTGRES, program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", conninfo(database)]
    with tempfile.TemporaryFile() as commands:
        commands.write(script.encode("ascii"))
        commands.seek(0)
        process = subprocess.Popen(argv, stdin=commands, stdout=subprocess.PIPE, env=environment(database))
    assert process.stdout is not None
    counted = sums(process.stdout, token.encode())
    if process.wait() != 0 or len(counted) != len(tables):
        sys.exit(f"psql ended with {process.returncode}")
    names = (shown(schema, table) for schema, table in tables)
    json.dump(dict(zip(names, counted, strict=True)), sys.stdout)


_MODULUS = 1 << 64
_BLOCK = 1 << 20


def sums(stream: IO[bytes], end: bytes) -> list[list[int]]:
    """[rows, sum of their hashes] of each part of a stream; a line `end` ends a part. However long a line is, it is
    hashed as it comes."""
    parts: list[list[int]] = []
    rows, total, rest, long = 0, 0, b"", None
    while block := stream.read(_BLOCK):
        if long is not None:
            piece, newline, block = block.partition(b"\n")
            long.update(piece)
            if not newline:
                continue
            rows, total, long = rows + 1, total + int.from_bytes(long.digest(), "little"), None
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        while end in lines:
            at = lines.index(end)
            count, amount = _add(lines[:at])
            parts.append([rows + count, (total + amount) % _MODULUS])
            rows, total, lines = 0, 0, lines[at + 1 :]
        count, amount = _add(lines)
        rows, total = rows + count, total + amount
        if len(rest) > _BLOCK:
            long, rest = blake2b(rest, digest_size=8), b""
    return parts


def columns_of(database: str) -> dict[tuple[str, str], list[str]]:
    """The columns of each table whose rows are compared, but generated ones: what COPY puts out and takes."""
    return {(schema, table): columns or [] for _, schema, table, columns, _ in query(TABLES, database)}


def _copying(schema: str, table: str, columns: list[str] | None, condition: str | None) -> str:
    """What lets psql put out the rows of a table, or those of an extension's that are the customer's."""
    if condition is None:
        return f"COPY {copied(schema, table, columns or [])} TO STDOUT;\n"
    # The condition stays on the server, where psql does not read it.
    listed = ", ".join(map(ident, columns or []))
    parts = [f"COPY (SELECT {listed} FROM {ident(schema)}.{ident(table)} ", ") TO STDOUT"]
    # Nothing can come in its place once it is locked: what is read is what the catalogue says an extension has made.
    oid = f"format('%I.%I', {literal(schema)}, {literal(table)})::regclass"
    return (
        f"LOCK TABLE ONLY {ident(schema)}.{ident(table)} IN ACCESS SHARE MODE;\n"
        f"SELECT {literal(parts[0])} || {CONDITION} || {literal(parts[1])} FROM pg_class o"
        f" WHERE o.oid = {oid} \\gexec\n"
    )


def copied(schema: str, table: str, columns: list[str]) -> str:
    """A table with its columns, as COPY names them: each value goes by its name, in whatever order they stand."""
    listed = f" ({', '.join(map(ident, columns))})" if columns else ""
    return f"{ident(schema)}.{ident(table)}{listed}"


def shown(schema: str, table: str) -> str:
    """The name that a table has in digests."""
    return f"{_shown(schema)}.{_shown(table)}"


def _shown(name: str) -> str:
    return name if re.fullmatch("[a-z0-9_]+", name) else '"' + name.replace('"', '""') + '"'


def _add(lines: list[bytes]) -> tuple[int, int]:
    """How many rows, and the sum of their hashes, which is the same in any order."""
    hashes = b"".join([blake2b(line, digest_size=8).digest() for line in lines])
    return len(lines), sum(struct.unpack(f"<{len(lines)}Q", hashes))
