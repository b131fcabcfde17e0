"""Speaking to this server's PostgreSQL as its superuser, about databases whose names and contents are hostile.

Identifiers and literals go over as ASCII (`U&"..."`), so nothing of a customer's text is ever lexed by psql. Every
session pins search_path to pg_catalog, so no function or operator of a customer is found by its name.
"""

from __future__ import annotations

import contextlib
import glob
import json
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterable
from typing import Any

from ...host.digest import printable
from ...host.kept import of, once
from ...host.system import Refused, refuse

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
    "synchronize_seqscans": "off",
    "role": "none",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "session_replication_role": "origin",
    "transform_null_equals": "off",
    "xmloption": "content",
    "quote_all_identifiers": "off",
    "lc_messages": "C",
    "standard_conforming_strings": "on",
    "client_min_messages": "error",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
}


_OWN_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/var/lib/postgresql",
    "PGCLIENTENCODING": "UTF8",
    "PGAPPNAME": "transhumance",
}


@once
def program(name: str) -> str:
    """A client program of PostgreSQL's: its own file where there is one version, since Debian's wrapper around it takes
    longer to start than a query; where there are several, the wrapper, which chooses."""
    files = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    return files[0] if len(files) == 1 else name


def environment(database: str, settings: dict[str, str] = PINNED, password: str | None = None) -> dict[str, str]:
    """What libpq's programs find there: these settings, and for all that is set for a customer's database what this
    server's own sessions have. Both go before the settings of the database and of the role. A `password` is that of
    no superuser."""
    theirs = settings_of([database], superuser=password is None) if database != "postgres" else {}
    return _OWN_ENVIRONMENT | {"PGOPTIONS": options(theirs | settings)} | ({"PGPASSWORD": password} if password else {})


def options(settings: dict[str, str]) -> str:
    """Settings as a client passes them to the server when it connects."""
    return " ".join(f"-c {name}={_SPACE.sub(_BACKSLASH, value)}" for name, value in settings.items())


_SPACE, _BACKSLASH = re.compile(r"(?=[\s\\])"), r"\\"
# Each that a session may have when it begins; a transaction's own end with it.
_SET = """SELECT json_build_array(p.name, current_setting(p.name)) FROM pg_settings p WHERE p.context = ANY({contexts})
 AND p.name <> ALL('{{client_encoding,transaction_isolation,transaction_read_only,transaction_deferrable}}')
 AND lower(p.name) IN (SELECT lower(split_part(one, '=', 1)) FROM pg_db_role_setting s JOIN pg_database d
 ON d.oid = s.setdatabase CROSS JOIN unnest(s.setconfig) one WHERE d.datname = ANY({names}));
"""


def settings_of(databases: Iterable[str], superuser: bool) -> dict[str, str]:
    """All that is set for these databases, with the values that this server has without that."""
    contexts = ["user", "backend", *(["superuser", "superuser-backend"] if superuser else [])]
    return dict(kept().query(_SET.format(contexts=literals(contexts), names=literals(databases))))


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


def name_in_sql(name: str) -> str:
    """A name as it is typed, for a sentence."""
    return printable(name if re.fullmatch("[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"')


def conninfo(database: str, **more: str) -> str:
    """A connection string for libpq's programs, any name quoted."""
    parts = {"dbname": database} | more
    return " ".join(
        f"{name}='" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for name, value in parts.items()
    )


# A session that is no superuser's may set these: what it reads cannot be changed by what it runs while it reads.
READING = {
    name: PINNED[name]
    for name in (
        "search_path",
        "DateStyle",
        "IntervalStyle",
        "TimeZone",
        "extra_float_digits",
        "bytea_output",
        "xmlbinary",
        "row_security",
        "jit",
        "synchronize_seqscans",
        "role",
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "default_transaction_isolation",
        "transform_null_equals",
        "quote_all_identifiers",
        "standard_conforming_strings",
        "client_min_messages",
    )
} | {"default_transaction_read_only": "on"}


_EACH = """SELECT set_config('th.said', '[]', false) \\gset th_
DO $each$ DECLARE statement text; number bigint; at text; BEGIN
  FOR statement, number IN SELECT value, ordinality - 1 FROM jsonb_array_elements_text(
    current_setting('th.statements')::jsonb) WITH ORDINALITY LOOP
    BEGIN
      EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS at = PG_EXCEPTION_CONTEXT;
      PERFORM set_config('th.said', (current_setting('th.said')::jsonb || jsonb_build_array(jsonb_build_array(number,
        concat_ws(', in ', sqlerrm, substring(at FROM '^(?:SQL|PL/pgSQL) function [^\n]*')))))::text, false);
    END;
    COMMIT;
  END LOOP;
END $each$;
RESET ROLE;
SELECT value FROM jsonb_array_elements(current_setting('th.said')::jsonb);
"""


class Session:
    """One connection to one database: a psql that is fed ASCII and puts out JSON, a line a row.

    It is the superuser's; with a `login` (role, password) it is that role's, and may only read unless other `settings`
    are given. `more` goes into the connection string. One query at a time: threads wait for each other."""

    def __init__(
        self,
        database: str = "postgres",
        login: tuple[str, str] | None = None,
        settings: dict[str, str] | None = None,
        **more: str,
    ) -> None:
        self.database = database
        self.errors = tempfile.TemporaryFile()
        self._lock = threading.Lock()
        settings = settings or (READING if login else PINNED)
        if login:
            more = {"host": "127.0.0.1", "user": login[0], "sslmode": "prefer"} | more
        argv = [*AS_POSTGRES, program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        self.process = subprocess.Popen(
            [*argv, "-d", conninfo(database, **more)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment(database, settings, login[1] if login else None),
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        # Before its end is awaited: what it has not told yet nobody wants to know.
        self.process.stdout.close()
        self.process.wait()
        self.errors.close()

    def lines(self, script: str) -> list[bytes]:
        """Run a script; the lines that it puts out.

        The first error ends the session and is raised as Refused with the server's words."""
        assert self.process.stdout is not None
        with self._lock:
            # psql answers while it still reads: a script may be longer than what a pipe takes.
            writer = threading.Thread(target=self._write, args=(script.encode("ascii") + b"\n\\echo --\n",))
            writer.start()
            rows: list[bytes] = []
            for line in self.process.stdout:
                if line == b"--\n":  # which no JSON is
                    writer.join()
                    return rows
                rows.append(line)
            writer.join()
            self.process.wait()
            self.errors.seek(0)
            errors = self.errors.read().decode("utf-8", "backslashreplace")
        match = re.search(r"(?:ERROR|FATAL):\s+(.*)", errors)
        message = printable(match[1] if match else errors.strip()[-300:])
        if message == "out of shared memory":
            message += "; its administrator has to raise max_locks_per_transaction (1024, say), which takes a restart"
        if "invalid memory alloc request size" in message or message == "out of memory":
            message += (
                "; a row is too large to be read as text (1 GB, and bytea is twice as long there): keep it in parts"
            )
        refuse(
            "postgresql_failed",
            f"PostgreSQL refused a step in database {printable(self.database)}: {message}",
        )

    def _write(self, text: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # why it has gone it says itself
            self.process.stdin.write(text)
            self.process.stdin.flush()

    def query(self, script: str) -> list[Any]:
        """`lines`, each of which is JSON and comes back parsed."""
        return [json.loads(line) for line in self.lines(script)]

    def execute(self, statements: list[str]) -> None:
        """Run statements that return nothing, up to the first error."""
        if statements:
            self.query("".join(f"{statement};\n" for statement in statements))

    def execute_each(self, statements: list[str]) -> list[tuple[int, str]]:
        """Run statements each by itself: which of them failed, and why."""
        script = f"SELECT set_config('th.statements', {literal(json.dumps(statements))}, false) \\gset th_\n{_EACH}"
        return [(number, why) for number, why in self.query(script)] if statements else []

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


class Sessions:
    """Sessions that stay open between the steps of a move, and between a peer's calls: one for each database and login.

    So no program has to start inside a hold."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], tuple[Session, int]] = {}
        self._lock = threading.Lock()

    def to(self, database: str, login: tuple[str, str] | None) -> Session:
        """The one of this login; opened anew when it has ended."""
        key = (database, login[0] if login else "")
        with self._lock:
            session = self._open.get(key, (None, 0))[0]
        if session:
            try:
                session.query("SELECT 1;")
                return session
            except (Refused, ValueError):  # ended by the server, or closed by `end`
                session.close()
        if login:
            let_in(login[0])
        session = Session(database, login)
        pid = session.query("SELECT pg_backend_pid();")[0]
        with self._lock:
            self._open[key] = (session, pid)
        return session

    def backends(self) -> list[int]:
        """The server's process ids of them."""
        with self._lock:
            return [pid for _, pid in self._open.values()]

    def end(self, databases: Iterable[str] | None = None) -> None:
        """Close those of these databases, or all."""
        with self._lock:
            ending = [*self._open] if databases is None else [key for key in self._open if key[0] in {*databases}]
            for key in ending:
                self._open.pop(key)[0].close()

    def close(self) -> None:
        self.end()


def kept(database: str = "postgres", login: tuple[str, str] | None = None) -> Session:
    """A session that this run keeps open; opened anew when it has ended."""
    return of(Sessions).to(database, login)


OVER = "VALID UNTIL '2000-01-01'"
"""Of a role of ours that nobody logs in as but who was let in: its password is over."""


def let_in(role: str) -> None:
    """The role's password is good for half a minute: what a customer's code may have made of it is worth nothing after
    that."""
    until = kept().query("SELECT to_json((clock_timestamp() + interval '30 s')::text);")[0]
    kept().execute([f"ALTER ROLE {ident(role)} VALID UNTIL {literal(until)}"])


def kept_backends() -> list[int]:
    """The server's process ids of the sessions that this run keeps."""
    return of(Sessions).backends()


_UNBOUND = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "lc_messages": "C",
}


_LISTS = ("search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries")


def unbound(role: str, databases: Iterable[str]) -> list[str]:
    """Statements by which the settings of customers' databases do not bind a role that is made for a move.

    Its words are English, as programs read them. Some settings are newer than some servers."""
    names = kept().query(f"SELECT to_json(name) FROM pg_settings WHERE name = ANY({literals(_UNBOUND)});")
    settings = settings_of(databases, superuser=True) | {name: _UNBOUND[name] for name in names}
    for name in _LISTS:  # which a worker does not take from a role, and a client is told
        settings.pop(name, None)
    return [f"ALTER ROLE {ident(role)} SET {name} = {literal(value)}" for name, value in sorted(settings.items())]


def end_kept(databases: Iterable[str]) -> None:
    """Close the kept sessions of these databases."""
    of(Sessions).end(databases)
