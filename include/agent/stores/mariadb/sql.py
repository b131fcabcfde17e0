"""Speaking to this server's MariaDB as root, or as a user made for a restore, about hostile names and contents.

Every statement is sent as `EXECUTE IMMEDIATE 0x...`: the client sees hexadecimal digits and finds no command or
delimiter in them, and the server takes it as one statement, never as several. Answers come back as hexadecimal too.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ...account.accounts import Account
from ...host import ours
from ...host.digest import printable
from ...host.kept import of
from ...host.processes import AS_CLIENT
from ...host.system import RUNTIME, Refused, locked, refuse, run

_CLIENT = ["mariadb", "--no-defaults", "--sandbox", "--batch", "--skip-column-names", "--quick"]
_CLIENT += ["--default-character-set=utf8mb4", "--max-allowed-packet=1G"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
_PINNED = (
    "SET SESSION sql_mode = '', time_zone = '+00:00', foreign_key_checks = 1, sql_auto_is_null = 0,"
    " group_concat_max_len = 1073741824, max_statement_time = 0, sql_select_limit = DEFAULT, sql_notes = 0"
)
NAMES = "SET NAMES utf8mb4 /*M!110500 , character_set_collations = DEFAULT */"
UNLOGGED = "SET SESSION sql_log_bin = 0"
"""First of statements that are this server's own affair: they are in no binary log."""
_END_LINE = b"th-end\n"


@dataclass(frozen=True)
class Login:
    """A database user made for a restore. Its client runs as an unprivileged Unix user that is no customer's."""

    user: str
    password: str

    def argv(self, *more: str) -> list[str]:
        """The client as this user."""
        return [*AS_CLIENT, *_CLIENT, "--protocol=socket", f"--user={self.user}", *more]

    def env(self) -> dict[str, str]:
        """The environment that the client finds its password in."""
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/", "MYSQL_PWD": self.password}


@contextmanager
def login(account: Account, purpose: str, privileges: str, everywhere: str = "") -> Iterator[Login]:
    """A user that has these privileges on the account's databases and on nothing else, for as long as the block.

    `everywhere` is a privilege that is given on all databases, for those that cannot be given on one."""
    user, password = f"th_{purpose}_{account.name}", secrets.token_urlsafe(24)
    name = user_name(user, "localhost")
    made = [UNLOGGED, *user_anew(user, password)]
    made += [f"GRANT {privileges} ON {pattern(database)}.* TO {name}" for database in account.mariadb_databases]
    if everywhere:
        made.append(f"GRANT {everywhere} ON *.* TO {name}")
    with locked(RUNTIME / "accounts" / f"{account.name}.{purpose}"):
        queries(made)
        try:
            yield Login(user, password)
        finally:
            queries([UNLOGGED, f"DROP USER IF EXISTS {name}"])


def user_made(user: str, password: str) -> list[str]:
    """Statements that make a user of ours, or give the one that is there this password."""
    return [_making("ALTER" if _is_there(user) else "CREATE", user, password)]


def user_anew(user: str, password: str) -> list[str]:
    """Statements that make a user of ours in the place of one that a crash has left."""
    _is_there(user)
    return [*users_dropped([user]), _making("CREATE", user, password)]


def _making(word: str, user: str, password: str) -> str:
    made = f"{word} USER {user_name(user, 'localhost')} IDENTIFIED BY {literal(password)}"
    return f"{made} WITH MAX_CONNECTIONS_PER_HOUR {ours.mark(user)}"


def users_dropped(users: Sequence[str]) -> list[str]:
    """Statements that drop those of these users that are there and ours, and end their sessions."""
    names = [user_name(user, host) for user, host, is_ours in _named(users) if is_ours]
    return [statement for name in names for statement in (f"KILL HARD USER {name}", f"DROP USER IF EXISTS {name}")]


def _is_there(user: str) -> bool:
    """Whether a user of ours is there; refused when one of that name is somebody else's."""
    for _, host, is_ours in (rows := _named([user])):
        if not is_ours:
            ours.refuse_taken("MariaDB user", f"{user}@{host}")
    return bool(rows)


def _named(users: Sequence[str]) -> list[tuple[str, str, bool]]:
    """The users of these names: each with its host, and whether it is ours."""
    named = ", ".join(literal(user) for user in users)
    rows = query(["User", "Host", "Priv"], f"FROM mysql.global_priv WHERE User IN ({named})")
    return [(str(user), str(host), is_own(str(user), str(host), json.loads(priv or "{}"))) for user, host, priv in rows]


def is_own(user: str, host: str, priv: dict[str, object]) -> bool:
    """Whether the user of this row of mysql.global_priv is ours."""
    named = user.startswith(ours.PREFIX) and host == "localhost"
    return named and priv.get("max_connections") == ours.mark(user)


def ident(name: str) -> str:
    """A quoted identifier, for a statement that goes through `queries`."""
    if "\0" in name:
        refuse("bad_name", "A MariaDB name holds a NUL; rename it.")
    return "`" + name.replace("`", "``") + "`"


def literal(value: str | None) -> str:
    """A quoted string, for a statement that goes through `queries` (backslashes escape there)."""
    return "NULL" if value is None else "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def user_name(user: str, host: str) -> str:
    """A user as it stands in statements."""
    return f"{literal(user)}@{literal(host)}"


def pattern(database: str) -> str:
    """A database as it stands in a GRANT, where `_` and `%` are wildcards unless escaped."""
    return ident(database.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"))


def covers(wildcard: str, name: str) -> bool:
    """Whether a database pattern of a grant covers a database."""
    parts = re.findall(r"\\(.)|(.)", wildcard, re.DOTALL)
    expression = "".join(
        re.escape(escaped) if escaped else {"_": ".", "%": ".*"}.get(plain, re.escape(plain))
        for escaped, plain in parts
    )
    return re.fullmatch(expression, name, re.DOTALL) is not None


def select(columns: Sequence[str], rest: str) -> str:
    """A SELECT whose rows `queries` decodes: every column as text or None, whatever is in it."""
    coded = (f"IFNULL(HEX(CONVERT({column} USING utf8mb4)), '-')" for column in columns)
    return f"SELECT CONCAT_WS(' ', {', '.join(coded)}) {rest}"


def immediate(statement: str | bytes) -> bytes:
    """One statement in the form that nothing can break out of."""
    text = statement if isinstance(statement, bytes) else statement.encode("utf-8", "surrogateescape")
    return b"EXECUTE IMMEDIATE 0x" + text.hex().encode() + b";\n"


_ASK_END = immediate("SELECT 'th-end'")


class Session:
    """One connection, as root or as `login`: a client that is fed statements and answers each up to a marker.

    Not for two threads at once. The first error ends it, and is raised as Refused with the server's words."""

    def __init__(self, login: Login | None = None) -> None:
        self._errors = tempfile.TemporaryFile()
        argv = login.argv("--unbuffered") if login else [*_CLIENT, "--unbuffered"]
        self._client = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=login.env() if login else ENVIRONMENT,
        )
        self.run([_PINNED])

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        assert self._client.stdin is not None and self._client.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._client.stdin.close()
        self._client.stdout.close()
        self._client.wait()
        self._errors.close()

    @property
    def alive(self) -> bool:
        """Whether the client still runs."""
        return self._client.poll() is None

    def answers(self, *statements: str) -> bool:
        """Whether the connection is still there, and has run these."""
        try:
            self.run(statements or ["DO 0"])
        except Refused:
            return False
        return True

    def run(self, statements: Sequence[str | bytes], purpose: str = "") -> list[list[list[str | None]]]:
        """The rows of each statement; only those made by `select` are decoded, others come as their raw fields."""
        return [[_decode(line) for line in self.lines(statement, purpose)] for statement in statements]

    def lines(self, statement: str | bytes, purpose: str = "") -> Iterator[bytes]:
        """The rows of one statement as the client prints them. To be read to the end."""
        assert self._client.stdin is not None and self._client.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._client.stdin.write(immediate(statement) + _ASK_END)
            self._client.stdin.flush()
        for line in self._client.stdout:
            if line == _END_LINE:
                return
            yield line[:-1]
        self._client.wait()
        self._errors.seek(0)
        errors = self._errors.read().decode("utf-8", "backslashreplace")
        match = re.search(r"ERROR (\d+ \(\w+\))(?: at line \d+)?: (.*)", errors)
        message = printable(f"{match[2]} [{match[1]}]" if match else errors.strip()[-300:])
        refuse("mariadb_failed", f"MariaDB refused a step{' (' + purpose + ')' if purpose else ''}: {message}")


class _Idle:
    """Sessions as root that have ended their block: whoever asks next, whatever for, takes one."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []

    def close(self) -> None:
        while self.sessions:
            self.sessions.pop().close()


@contextmanager
def root() -> Iterator[Session]:
    """A session as root, that of an earlier block where one is idle."""
    idle = of(_Idle).sessions
    while idle:
        session = idle.pop()
        if session.answers(NAMES, _PINNED, "SET SESSION sql_log_bin = 1"):
            break
        session.close()
    else:
        session = Session()
    try:
        yield session
    except BaseException:
        session.close()
        raise
    idle.append(session)


def queries(
    statements: Sequence[str | bytes], *, login: Login | None = None, purpose: str = ""
) -> list[list[list[str | None]]]:
    """Run statements as root (or as `login`) in one session, up to the first error; what `Session.run` returns."""
    with Session(login) if login else root() as session:
        return session.run(statements, purpose)


def attempts(groups: Sequence[Sequence[str | bytes]], *, login: Login) -> dict[int, str]:
    """Run each group of statements, going on after errors: {index of a group that failed: the server's words}."""
    lines = [immediate(_PINNED)] + [b"".join(immediate(statement) for statement in group) for group in groups]
    done = run([*login.argv(), "--force"], input=b"".join(lines), env=login.env(), check=False, timeout=None)
    first, owners = 1 + lines[0].count(b"\n"), []
    for number, line in enumerate(lines[1:]):
        owners += [number] * line.count(b"\n")
    errors = done.stderr.decode("utf-8", "backslashreplace")
    failed: dict[int, str] = {}
    for code, at, message in re.findall(r"^ERROR (\d+ \(\w+\)) at line (\d+): (.*)", errors, re.MULTILINE):
        failed.setdefault(owners[int(at) - first], printable(f"{message} [{code}]"))
    if done.returncode != 0 and not failed:
        refuse("mariadb_failed", f"The MariaDB client failed: {printable(errors.strip()[-300:])}")
    return failed


def _decode(line: bytes) -> list[str | None]:
    fields = line.split(b" ")
    if all(re.fullmatch(rb"-|(?:[0-9A-F]{2})*", field) for field in fields):
        return [
            None if field == b"-" else bytes.fromhex(field.decode()).decode("utf-8", "surrogateescape")
            for field in fields
        ]
    return [_unescaped(field).decode("utf-8", "surrogateescape") for field in line.split(b"\t")]


_ESCAPES = {b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def _unescaped(field: bytes) -> bytes:
    return re.sub(rb"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), field, flags=re.DOTALL)


def query(columns: Sequence[str], rest: str) -> list[list[str | None]]:
    """The rows of one `select`, as root."""
    return queries([select(columns, rest)])[0]


def existing(names: Sequence[str]) -> list[str]:
    """Which of these databases exist here."""
    if not names:
        return []
    among = ", ".join(literal(name) for name in names)
    rows = query(["SCHEMA_NAME"], f"FROM information_schema.SCHEMATA WHERE BINARY SCHEMA_NAME IN ({among})")
    return sorted(str(row[0]) for row in rows)
