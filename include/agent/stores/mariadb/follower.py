"""The user that following works as: on each server one with the account's own databases and nothing else.

Its sessions last from the rehearsal to the end of the hold. On the source it reads, on the target it writes what the
source words; on neither may it reach another account's data, so what a customer's names or rows hold is of no use.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import time
from collections.abc import Collection, Iterator
from typing import Any

from ...account.accounts import Account
from ...host.kept import Threads, of
from ...host.system import RUNTIME, locked, write_durably
from ...verbs import mariadb as verbs
from .sql import UNLOGGED, Login, Session, literal, pattern, queries, query, user_made, user_name, users_dropped

_CALL = 8 << 20
_PROGRAMS = 4
READING, WRITING, MAKING, LOADING = "reading", "writing", "making", "loading"
# What a session is for: the user it is of, its privileges on the account's databases, and those on all.
_KINDS = {
    READING: ("th_follow_", "SELECT, SHOW VIEW, LOCK TABLES", ""),
    WRITING: ("th_follow_", "ALL", ""),
    # It puts triggers back, whose definers are others, under the collation that their database had then.
    MAKING: ("th_make_", "TRIGGER, ALTER", "SET USER"),
    # The other server words nothing for it: for a moment it has more power than one that it words for may ever have.
    LOADING: ("th_load_", "ALL", ""),
}
START = (
    "SET SESSION foreign_key_checks = 0, check_constraint_checks = 0, sql_mode = 'NO_AUTO_VALUE_ON_ZERO"
    ",ALLOW_INVALID_DATES', innodb_strict_mode = 0,"
    " in_predicate_conversion_threshold = 0, optimizer_max_sel_arg_weight = 0, idle_transaction_timeout = 0,"
    " wait_timeout = 86400"
    " /*M!101100 , system_versioning_insert_history = 1 */ /*M!110500 , character_set_collations = '' */"
)
_BEFORE = RUNTIME / "mariadb.max_allowed_packet"


def login(account: Account, kind: str) -> Login:
    """The user, with a password that only this process knows. Its sessions elsewhere go on."""
    prefix, privileges, everywhere = _KINDS[kind]
    user, password = prefix + account.name, secrets.token_urlsafe(24)
    name = user_name(user, "localhost")
    statements = [UNLOGGED, *user_made(user, password)]
    statements += [f"GRANT {privileges} ON {pattern(database)}.* TO {name}" for database in account.mariadb_databases]
    statements += [f"GRANT {everywhere} ON *.* TO {name}"] if everywhere else []
    queries(statements)
    return Login(user, password)


class Sessions:
    """Sessions that stay open between the steps of a move, and between a peer's calls: one of each kind."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Session] = {}

    def of(self, account: Account, kind: str) -> Session:
        """The one of this kind; opened when there is none that answers."""
        key = (account.name, kind)
        session = self._open.pop(key, None)
        if session is not None and not (session.alive and session.answers()):
            session.close()
            session = None
        if session is None:
            with entering():
                session = Session(login(account, kind))
            session.run([START])
        self._open[key] = session
        return session

    def end(self, account: Account) -> None:
        for key in [key for key in self._open if key[0] == account.name]:
            self._open.pop(key).close()

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


def session(account: Account, kind: str) -> Session:
    """This run's session of a kind; opened when there is none that answers."""
    return of(Sessions).of(account, kind)


def close(account: Account) -> None:
    """End this run's sessions as the user."""
    of(Sessions).end(account)


def gone(account: Account) -> list[str]:
    """Statements that take the users away."""
    users = sorted({prefix + account.name for prefix, _, _ in _KINDS.values()})
    loading = literal(_KINDS[LOADING][0] + account.name)
    left = query(["Role"], f"FROM mysql.roles_mapping WHERE User = {loading} AND Role LIKE '{_QUIET}%'")
    return [UNLOGGED, *users_dropped(users), *(f"DROP ROLE IF EXISTS {literal(role)}" for (role,) in left)]


_QUIET = "th_quiet_"
"""How the role of one load is called, and what nobody can know of it beforehand."""


_PATIENCE = 600
"""Seconds: on a disk that a load of gigabytes keeps busy, even making empty tables takes its time."""


@contextlib.contextmanager
def entering() -> Iterator[None]:
    """A block in which sessions begin: they may send and receive rows of any size.

    A connection keeps the max_allowed_packet that was the server's when it began, so it is raised for the moment. What
    it was is on record meanwhile: after a crash the next block, or `give_back_settings`, gives it back."""
    with locked(RUNTIME / "mariadb.lock", wait=_PATIENCE):
        if not _BEFORE.exists():
            write_durably(_BEFORE, str(query(["@@GLOBAL.max_allowed_packet"], "")[0][0]))
        queries(["SET GLOBAL max_allowed_packet = 1073741824"])
        try:
            yield
        finally:
            _give_back()


def give_back_settings() -> None:
    """No setting of this server is other than it was."""
    with locked(RUNTIME / "mariadb.lock", wait=_PATIENCE):
        _give_back()


def _give_back() -> None:
    if _BEFORE.exists():
        queries([f"SET GLOBAL max_allowed_packet = {int(_BEFORE.read_text())}"])
        _BEFORE.unlink()


@contextlib.contextmanager
def loader(account: Account, statement: str, **popen: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A client that runs a LOAD DATA as a user of its own, in a session that writes no binary log: what it loads has
    come with the account. For that it has a role while it starts, which is gone before it is given anything of the
    customer's."""
    with entering():
        user, role = login(account, LOADING), literal(_QUIET + secrets.token_hex(8))
        steps = [f"SET ROLE {role}", "SET SESSION sql_log_bin = 0", "SET ROLE NONE"]
        steps += [f"{START}, time_zone = '+00:00', max_statement_time = 0, lock_wait_timeout = 3600", statement]
        newest = _newest()
        queries(
            [
                UNLOGGED,
                f"CREATE ROLE {role}",
                f"GRANT BINLOG ADMIN ON *.* TO {role}",
                f"GRANT {role} TO {user_name(user.user, 'localhost')}",
            ]
        )
        try:
            argv = user.argv("--local-infile", "--binary-mode", "-e", "; ".join(steps))
            client = subprocess.Popen(argv, env=user.env(), **popen)
            _wait_for_load(user, newest, client)
        finally:
            queries([UNLOGGED, f"DROP ROLE IF EXISTS {role}"])
    with client:
        yield client


def _newest() -> int:
    return int(query(["IFNULL(MAX(ID), 0)"], "FROM information_schema.PROCESSLIST")[0][0] or 0)


def _wait_for_load(user: Login, newest: int, client: subprocess.Popen[bytes]) -> None:
    begun = f"FROM information_schema.PROCESSLIST WHERE USER = {literal(user.user)} AND ID > {newest}"
    begun += " AND INFO LIKE 'LOAD DATA %'"
    end = time.monotonic() + 10
    while client.poll() is None and query(["COUNT(*)"], begun)[0][0] == "0" and time.monotonic() < end:
        time.sleep(0.005)


class Both:
    """An account's two sides: statements for either, run as its user there."""

    def __init__(self, account: Account, peer: Any) -> None:
        self.account, self.peer = account, peer
        self._frozen = False

    @property
    def source(self) -> Session:
        """The session that reads here."""
        return session(self.account, READING)

    def freeze(self) -> tuple[str, int]:
        """Read from now on what is there at this moment; its file and position in the binary log."""
        # A table that was read is let go by the savepoint, or its owner's ALTER would wait for the end of it all.
        begin = ["ROLLBACK", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"]
        begin += ["START TRANSACTION WITH CONSISTENT SNAPSHOT", "SAVEPOINT th"]
        shown = self.source.run([*begin, "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'"])[-1]
        status = {str(name).lower(): str(value) for name, value in shown}
        self._frozen = True
        return status["binlog_snapshot_file"], int(status["binlog_snapshot_position"])

    def thaw(self) -> None:
        """Read from now on what is there when it is read."""
        self.source.run(["ROLLBACK"])
        self._frozen = False

    def let_go(self) -> None:
        """What was read may be altered; what is read afterwards is still of the same moment."""
        if self._frozen:
            self.source.run(["ROLLBACK TO SAVEPOINT th"])

    def on_target(
        self, statements: list[Any], tables: Collection[tuple[str, str]] = ()
    ) -> list[list[list[str | None]]]:
        """The rows of statements that are run on the target; `tables` are those whose triggers must not run."""
        texts = [s.decode("utf-8", "surrogateescape") if isinstance(s, bytes) else s for s in statements]
        return self.peer.call(verbs.Run(statements=texts, tables=sorted(tables))).rows if texts else []

    def warm(self) -> None:
        """Whichever program on the target takes a call has its sessions open then."""
        with Threads(_PROGRAMS) as pool:
            list(pool.map(self.peer.call, [verbs.Warm()] * _PROGRAMS))

    def write(self, statements: list[Any], tables: Collection[tuple[str, str]]) -> list[list[str]]:
        """Run statements that write to these tables on the target, a few megabytes a transaction; the rows that they
        return, in order."""
        returned: list[list[str]] = []
        while statements:
            size, number = 0, 0
            while number < len(statements) and size < _CALL:
                size += len(statements[number])
                number += 1
            batch, statements = statements[:number], statements[number:]
            answers = self.on_target(["START TRANSACTION", *batch, "COMMIT"], tables)
            returned += [[str(field) for field in row] for rows in answers for row in rows]
        return returned

    def same(self, statements: list[str]) -> tuple[list[list[list[str | None]]], list[list[list[str | None]]]]:
        """The rows of the same statements on both sides, run side by side."""
        with Threads(1) as pool:
            theirs = pool.submit(self.on_target, statements)
            mine = self.source.run(statements, "following")
            self.let_go()
            return mine, theirs.result()
