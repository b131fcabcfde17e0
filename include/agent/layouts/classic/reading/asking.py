"""What the server's own programs and databases answer: read only, within bounds, and by nobody's powers but theirs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ....host.processes import AS_CLIENT
from ....host.system import Refused, run
from .tree import Tree

_SECONDS = 60
_FIELD, _ROW = "\x1f", "\x1e"
_MAX_ROWS = 500_000
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

Answer = Callable[..., str | None]
"""What a program says that is run with these words (and `env`); None where it fails or is not there. `partly`: what it
says counts although it fails, as where one of several is not known to it."""


def of_program(argv: list[str], env: dict[str, str] | None = None, partly: bool = False) -> str | None:
    try:
        done = run(argv, check=False, timeout=_SECONDS * 2, env=env)
    except Refused:
        return None
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 or partly else None


@dataclass(frozen=True)
class Database:
    """Where the mail system looks things up, with the mail system's own user."""

    kind: str
    name: str
    user: str = ""
    password: str = field(default="", repr=False)
    host: str = ""

    def rows(self, query: str, tree: Tree, ask: Answer) -> list[dict[str, str]] | None:
        """Each row by column; None where nothing is answered."""
        if self.kind == "sqlite":
            return _of_sqlite(tree, self.name, query)
        asking = _of_mysql if self.kind == "mysql" else _of_postgresql
        return asking(self, query, ask)


def _of_sqlite(tree: Tree, path: str, query: str) -> list[dict[str, str]] | None:
    import sqlite3  # nothing else needs it
    from urllib.parse import quote

    try:
        connection = sqlite3.connect(f"file:{quote(tree.on_disk(tree.real(path)))}?mode=ro", uri=True)
    except Exception:  # it is not there, is not the host's, or is no database
        return None
    try:
        cursor = connection.execute(query)
        names = [column[0].lower() for column in cursor.description]
        return [_row(names, values) for values in cursor.fetchmany(_MAX_ROWS)]
    except sqlite3.Error:
        return None
    finally:
        connection.close()


def _of_mysql(database: Database, query: str, ask: Answer) -> list[dict[str, str]] | None:
    where = [f"--socket={database.host}"] if database.host.startswith("/") else _host_and_port(database.host)
    argv = [*AS_CLIENT, "mariadb", "--no-defaults", "--sandbox", "--batch", "--default-character-set=utf8mb4", *where]
    argv += [f"--init-command=SET SESSION max_statement_time={_SECONDS}, SESSION tx_read_only=1"]
    argv += [f"--user={database.user}", f"--execute={query}", database.name]
    output = ask(argv, env={"MYSQL_PWD": database.password})
    if output is None:
        return None
    lines = [line.split("\t") for line in output.splitlines()]
    names = [name.lower() for name in lines[0]] if lines else []
    return [_row(names, [_unescaped(value) for value in line]) for line in lines[1 : _MAX_ROWS + 1]]


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda match: {"n": "\n", "t": "\t", "0": "\0"}.get(match[1], match[1]), value)


def _of_postgresql(database: Database, query: str, ask: Answer) -> list[dict[str, str]] | None:
    host, _, port = database.host.partition(":") if not database.host.startswith("/") else (database.host, "", "")
    env = {
        "PGHOST": host or "/run/postgresql",
        "PGPORT": port or "5432",
        "PGUSER": database.user,
        "PGPASSWORD": database.password,
        "PGDATABASE": database.name,
        "PGCLIENTENCODING": "UTF8",
        "PGOPTIONS": f"-c default_transaction_read_only=on -c statement_timeout={_SECONDS}s",
    }
    argv = [*AS_CLIENT, "psql", "--no-psqlrc", "--no-password", "--no-align", "--pset=footer=off"]
    argv += [f"--field-separator={_FIELD}", f"--record-separator={_ROW}", f"--command={query}"]
    output = ask(argv, env=env)
    if output is None:
        return None
    lines = [line.split(_FIELD) for line in output.rstrip("\n").split(_ROW) if line]
    names = [name.lower() for name in lines[0]] if lines else []
    return [_row(names, line) for line in lines[1 : _MAX_ROWS + 1]]


def _host_and_port(text: str) -> list[str]:
    name, _, number = text.partition(":")
    return [*([f"--host={name}"] if name else []), *([f"--port={number}"] if number.isdecimal() else [])]


def _row(names: list[str], values: Any) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in zip(names, values, strict=False)}


# --- queries that ask for one ---

KEY = "th_key"
_ASKED = re.compile(r"([A-Za-z_`\"][\w.`\"]*)\s*=\s*(['\"])(%[A-Za-z]|%\{\w+\}|%L[un])\2")
_WHOLE, _LOCAL, _DOMAIN = {"%s", "%Lu", "%{user}"}, {"%n", "%Ln", "%{username}"}, {"%d", "%Ld", "%{domain}"}


def for_all(query: str, kind: str, whole_user: bool) -> str | None:
    """The same query for all that it may be asked for, with that as a column of its own; None where it is of another
    form. `whole_user`: whether %u is all of an address, as Dovecot means it, or what stands before the @ (Postfix)."""
    text = re.sub(r"\s*;?\s*$", "", re.sub(r"\s+limit\s+1\s*;?\s*$", "", query, flags=re.IGNORECASE))
    head = re.match(r"\s*select\s+(distinct\s+)?", text, re.IGNORECASE)
    if not head or re.search(r"\b(or|not|union|group|order|into|limit)\b|--|/\*|;", text, re.IGNORECASE):
        return None
    columns: dict[str, str] = {}
    for column, _, word in _ASKED.findall(text):
        part = "whole" if word in _WHOLE or (word == "%u" and whole_user) else ""
        part = part or ("local" if word in _LOCAL or word == "%u" else "domain" if word in _DOMAIN else "other")
        if part in columns and columns[part] != column:
            return None
        columns[part] = column
    if {*columns} == {"local", "domain"}:
        both = (columns["local"], columns["domain"])
        key = f"CONCAT({both[0]}, '@', {both[1]})" if kind == "mysql" else f"{both[0]} || '@' || {both[1]}"
    elif len(columns) == 1 and "other" not in columns and "local" not in columns:
        (key,) = columns.values()
    else:
        return None
    rest = _ASKED.sub("1 = 1", text[head.end() :])
    return None if re.search(r"%[A-Za-z{]", rest) else f"SELECT {head[1] or ''}{key} AS {KEY}, {rest}"
