"""Speaking to this server's PostgreSQL as its superuser, about databases whose names and contents are hostile.

Identifiers and literals go over as ASCII (`U&"..."`), so nothing of a customer's text is ever lexed by psql. Every
session pins search_path to pg_catalog, so no function or operator of a customer is found by its name.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tempfile
from collections.abc import Iterable
from typing import Any

from .digest import printable
from .system import refuse

AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
PINNED = {
    "search_path": "pg_catalog",
    "DateStyle": "ISO,YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmlbinary": "base64",
    "row_security": "off",
    "jit": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "default_transaction_read_only": "off",
    "session_replication_role": "origin",
    "standard_conforming_strings": "on",
    "client_min_messages": "error",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
}
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/var/lib/postgresql",
    "PGCLIENTENCODING": "UTF8",
    "PGAPPNAME": "transhumance",
    "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in PINNED.items()),
}


def _escape(text: str, quote: str) -> str:
    if "\0" in text:
        refuse("bad_name", "A PostgreSQL name or value holds a NUL; remove it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        refuse("bad_name", f"The PostgreSQL name {printable(text)} is not valid text; rename it.")
    plain = re.compile(r"[A-Za-z0-9_ .,:$/@=+*#()-]")
    return quote + "".join(c if plain.match(c) else f"\\+{ord(c):06X}" for c in text) + quote


def ident(name: str) -> str:
    """A quoted identifier, in ASCII whatever the name holds."""
    return "U&" + _escape(name, '"')


def literal(value: str | None) -> str:
    """A quoted string (or NULL), in ASCII whatever it holds."""
    return "NULL" if value is None else "U&" + _escape(value, "'")


def literals(values: Iterable[str]) -> str:
    """An array of text."""
    return "ARRAY[" + ",".join(literal(value) for value in values) + "]::pg_catalog.text[]"


def conninfo(database: str, **more: str) -> str:
    """A connection string for libpq's programs, any name quoted."""
    parts = {"dbname": database} | more
    return " ".join(
        f"{name}='" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for name, value in parts.items()
    )


class Session:
    """One connection of the superuser to one database: a psql that is fed ASCII and puts out JSON, a line a row."""

    def __init__(self, database: str = "postgres") -> None:
        self.database = database
        self.errors = tempfile.TemporaryFile()
        argv = [
            *AS_POSTGRES,
            "psql",
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            conninfo(database),
        ]
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=ENVIRONMENT
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.errors.close()

    def query(self, script: str) -> list[Any]:
        """Run a script; every line that it puts out is JSON and comes back parsed.

        The first error ends the session and is raised as Refused with the server's words."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(script.encode("ascii") + b"\n\\echo\n")  # an empty line ends the answer
            self.process.stdin.flush()
        rows = []
        for line in self.process.stdout:
            if line == b"\n":
                return rows
            rows.append(json.loads(line))
        self.process.wait()
        self.errors.seek(0)
        said = self.errors.read().decode("utf-8", "backslashreplace")
        found = re.search(r"(?:ERROR|FATAL):\s+(.*)", said)
        message = printable(found[1] if found else said.strip()[-300:])
        refuse(
            "postgresql_failed",
            f"PostgreSQL refused a step in database {printable(self.database)}: {message}",
        )

    def execute(self, statements: list[str]) -> None:
        """Run statements that return nothing, up to the first error."""
        if statements:
            self.query("".join(f"{statement};\n" for statement in statements))

    def existing(self, names: Iterable[str]) -> list[str]:
        """Which of these databases exist here."""
        return sorted(
            self.query(f"SELECT to_json(datname::text) FROM pg_database WHERE datname = ANY({literals(names)});")
        )


def query(script: str, database: str = "postgres") -> list[Any]:
    """`Session.query` over a connection of its own."""
    with Session(database) as session:
        return session.query(script)


def execute(statements: list[str], database: str = "postgres") -> None:
    """`Session.execute` over a connection of its own."""
    if statements:
        with Session(database) as session:
            session.execute(statements)
