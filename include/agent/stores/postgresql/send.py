"""Sending a database: an archive of pg_dump, and rows of big tables in streams beside it (see postgres_contained)."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...account.accounts import Account
from ...channel.peer import Peer
from ...host.kept import Threads
from ...host.sandbox import python_argv
from ...host.system import Refused, refuse
from ...verbs import postgresql as verbs
from ...verbs.verb import Result
from . import grants, tool_messages
from . import stream as postgres_stream
from . import views as postgres_views
from .apply import NAME
from .digest import shown
from .sql import AS_POSTGRES, conninfo, environment, kept, program
from .stream import Row

BIG = 4 << 20
"""The bytes of a table from which on a stream of its own pays."""
_STREAMS = 2

# Tables that hold their rows themselves and are nobody's extension. Text in other encodings is pg_dump's business.
_BIG_TABLES = f"""SELECT json_build_array(n.nspname, o.relname) FROM pg_class o JOIN pg_namespace n
 ON n.oid = o.relnamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND o.relkind = 'r'
 AND o.relpersistence = 'p' AND pg_table_size(o.oid) > {BIG} AND current_setting('server_encoding') = 'UTF8'
 AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = o.oid
 AND e.deptype = 'e') ORDER BY pg_table_size(o.oid) DESC LIMIT 200;
"""


@dataclass
class Sent:
    """What was sent of a database: `streams` tells [rows, hash] of each table that was `apart`."""

    bytes: int = 0
    apart: list[list[str]] = field(default_factory=list)
    streams: dict[str, Row] = field(default_factory=dict)
    views: list[list[str]] = field(default_factory=list)  # schema and name of those whose rows came over


def send(account: Account, peer: Peer, name: str, identities: list[Any], snapshot: str | None = None) -> Sent:
    """Send a database into the prepared one on the peer, as of an exported snapshot.

    Without one it is the archive alone: nothing else makes tables that are read one after the other one state.
    `identities` are the replica identities ([schema, table, identity]) that tables are to have there."""
    sent = Sent(apart=kept(name).query(_BIG_TABLES) if snapshot else [])
    argv = dumping()
    argv += [f"--exclude-table-data={_pattern(schema)}.{_pattern(table)}" for schema, table in sent.apart]
    argv += [f"--snapshot={snapshot}", f"--exclude-schema={NAME}"] if snapshot else []
    argv += ["-d", conninfo(name)]
    views = kept(name).query(postgres_views.VIEWS) if snapshot else []
    sent.views = [[schema, view] for schema, view, _ in views]
    arguments: dict[str, Any] = {"database": name, "identities": identities, "apart": bool(sent.apart or views)}
    arguments |= {"views": sent.views, "grants": grants.grants(account, name, snapshot)}
    env = dump_environment(name)
    sent.bytes = dumped(name, lambda: peer.stream(verbs.Restore(**arguments), argv, env=env)).bytes
    if sent.apart:
        with Threads(_STREAMS) as pool:
            for (schema, table), (size, row) in zip(
                sent.apart, pool.map(lambda apart: _stream(peer, name, snapshot, *apart), sent.apart), strict=True
            ):
                sent.bytes += size
                sent.streams[shown(schema, table)] = row
    for schema, view, columns in views:
        argv, env = postgres_views.reading(account, name, snapshot or "", schema, view, columns)
        sent.bytes += peer.stream(verbs.Fill(database=name, schema=schema, table=view), argv, env=env).bytes
    if arguments["apart"]:
        peer.call(verbs.Complete(**arguments))
    return sent


def dumping() -> list[str]:
    """What writes an archive of a database, but for the database.

    All names are quoted, also those in texts that the server prints: some are words of SQL on a newer version. Grants
    are given by whoever gave them, which no archive can do for a role without power (see postgres_grants)."""
    argv = [
        *AS_POSTGRES,
        program("pg_dump"),
        "--format=custom",
        "--compress=0",
        "--no-publications",
        "--no-subscriptions",
    ]
    argv += ["--quote-all-identifiers", "--no-privileges"]
    return [*argv, "--no-security-labels", "--no-tablespaces", "--lock-wait-timeout=15s"]


def dump_environment(name: str) -> dict[str, str]:
    """In a database without an encoding text is whatever bytes it is: they are taken as they are."""
    encoding = kept(name).query("SELECT to_json(current_setting('server_encoding'));\n")[0]
    return environment(name) | ({"PGCLIENTENCODING": encoding} if encoding == "SQL_ASCII" else {})


def dumped(name: str, stream: Callable[[], Result]) -> Result:
    """What `stream` gives; why pg_dump could not read a database is said in words that help."""
    try:
        return stream()
    except Refused as error:
        if error.code == "source_failed" and (sentence := tool_messages.of_pg_dump(name, error.message)):
            refuse("unreadable", sentence)
        raise


def _pattern(name: str) -> str:
    """A name as a pattern of pg_dump that fits nothing else."""
    return '"' + name.replace('"', '""') + '"'


def _stream(peer: Peer, name: str, snapshot: str | None, schema: str, table: str) -> tuple[int, Row]:
    """One table's rows to the peer: how many bytes, and [rows, hash]."""
    reading, writing = os.pipe()
    printed: list[str] = []
    with open(reading) as answer:
        listener = threading.Thread(target=lambda: printed.append(answer.read()))
        listener.start()
        try:
            argv = python_argv(postgres_stream.__name__, name, schema, table, snapshot or "", str(writing))
            fill = verbs.Fill(database=name, schema=schema, table=table)
            size = peer.stream(fill, argv, pass_fds=[writing]).bytes
        finally:
            os.close(writing)
            listener.join()
    return size, json.loads(printed[0])
