"""The target's side of following: a subscription to each followed database of the source.

Changes are applied by a role that is a member of the account's roles and of nothing else, and from there as the owner
of each table: no function of a customer (a check, an index expression) ever runs with more than the account's rights.
"""

from __future__ import annotations

import grp
import json
import os
import select
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...account.accounts import Account, state_of
from ...channel import pairing
from ...host import ours
from ...host.digest import printable
from ...host.kept import Threads, later
from ...host.system import read_json, refuse, write_durably
from ...verbs import postgresql as verbs
from ...verbs.verb import Asking, Nothing
from . import fingerprint
from . import look as postgres_look
from .carried import Line
from .changes import lsn
from .look import make_reader, make_role
from .roles_gone import drop_roles
from .sql import OVER, Session, conninfo, end_kept, execute, ident, kept, literal, literals

NAME = "th_follow"
_PORT = "5432"
"""Of the socket's name: libpq puts it together from this."""


def _role(account: Account) -> str:
    return f"th_apply_{account.name}"


def subscribe(account: Account, want: verbs.Subscribe, _asking: Asking) -> Nothing:
    """Begin to apply what changed on the source since the slot was made."""
    name = want.database
    if name not in account.postgresql_databases:
        refuse("other_account", f"The database {printable(str(name))} is not one of {account.name}'s.")
    make_reader(account)
    # A worker logs in as its role, so the role may; nobody else can: a password that it gave itself is over already.
    execute(make_role(_role(account), f"LOGIN INHERIT BYPASSRLS PASSWORD NULL {OVER}", account))
    _note(account, {*subscribed(account), name})
    # Nobody but PostgreSQL gets to that socket, and behind it is this stream alone: no password is asked for.
    move = state_of(account.name).move or ""
    source = conninfo(name, host=str(pairing.stream_directory(move, want.slot)), port=_PORT, user="postgres")
    # A table with forced row security refuses even its owner; the worker's own role bypasses that.
    options = (
        f"slot_name = {literal(want.slot)}, create_slot = false, copy_data = false, enabled = false, binary = false,"
        f" streaming = off, disable_on_error = true, origin = any, run_as_owner = {str(want.forced).lower()},"
        " password_required = false"
    )
    execute(
        [
            f"CREATE SUBSCRIPTION {NAME} CONNECTION {literal(source)} PUBLICATION {NAME} WITH ({options})",
            f"ALTER SUBSCRIPTION {NAME} OWNER TO {ident(_role(account))}",
            f"ALTER SUBSCRIPTION {NAME} ENABLE",
        ],
        name,
    )
    fingerprint.keep(account, name, fingerprint.of_database(name))
    return Nothing()


def _path(account: Account) -> Any:
    return account.directory / "postgres.subscribed.json"


def subscribed(account: Account) -> list[str]:
    """The databases here that follow those of another server."""
    return read_json(_path(account)) or []


def _note(account: Account, names: set[str]) -> None:
    write_durably(_path(account), json.dumps(sorted(names)))


_PROGRESS = f"""SELECT json_build_array(s.subenabled, pg_replication_origin_progress('pg_' || s.oid, false), EXISTS (
 SELECT FROM pg_stat_subscription w JOIN pg_stat_activity a ON a.pid = w.pid WHERE w.subid = s.oid AND 
 a.backend_xid IS NOT NULL)) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
 WHERE s.subname = '{NAME}' AND d.datname = current_database();
"""


_SETVAL = """SELECT to_json(setval(c.oid, {2}, {3})) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = {0} AND c.relname = {1} AND c.relkind = 'S';
"""


def catch_up(account: Account, want: verbs.CatchUp, _asking: Asking) -> dict[str, str]:
    """Wait until each database has applied the source's log up to `lsn`, then set its sequences; durable on return.

    Of each database {"lsn", "sequences": [[schema, name, last value, is called]]} is given.
    Returns {name: "applied" | "late" | "broken"}."""
    databases = {name: goal for name, goal in want.databases.items() if name in account.postgresql_databases}
    with Threads(max(1, len(databases))) as pool:
        work = {name: pool.submit(_catch_up, name, goal, want.seconds) for name, goal in databases.items()}
    return {name: done.result() for name, done in work.items()}


def _catch_up(name: str, goal: dict[str, Any], seconds: float) -> str:
    session, end = kept(name), time.monotonic() + seconds
    while True:
        progress = session.query(_PROGRESS)
        if not progress or not progress[0][0]:
            return "broken"
        _, applied, busy = progress[0]
        # The position moves a moment before what was committed can be seen: the worker has no transaction then.
        if (applied and lsn(applied) >= goal["lsn"] or goal["lsn"] == 0) and not busy:
            break
        if time.monotonic() > end:
            return "late"
        time.sleep(0.002)
    script = "".join(
        _SETVAL.format(*map(literal, sequence[:2]), int(sequence[2]), bool(sequence[3]))
        for sequence in goal["sequences"]
    )
    # A commit that waits for the disk takes with it all that was applied before.
    session.query(
        f"BEGIN; SET LOCAL synchronous_commit = 'local';\n{script}SELECT 1 FROM pg_logical_emit_message("
        "true, 'th', '');\nCOMMIT;\n"
    )
    return "applied"


def look(account: Account, want: verbs.Look, _asking: Asking) -> dict[str, Any]:
    """`postgres_look.look` of each database that is asked about."""
    asked = {name: question for name, question in want.databases.items() if name in account.postgresql_databases}
    with Threads(max(1, len(asked))) as pool:
        work = {name: pool.submit(postgres_look.look, account, name, asked[name]) for name in asked}
    return {name: done.result() for name, done in work.items()}


def end_later(account: Account) -> None:
    """End following while visitors are served already. What a crash leaves of it, the next call ends."""
    if subscribed(account):
        later(end, account)


def end(account: Account, names: list[str] | None = None) -> None:
    """These databases (all, by default) follow nothing any more. Repeatable; says nothing to the source."""
    ending = subscribed(account) if names is None else [name for name in subscribed(account) if name in names]
    end_kept(ending)
    with Session() as db:
        for name in db.existing(ending):
            fingerprint.forget(account, name)
            with Session(name) as inside:
                if inside.query(_PROGRESS):
                    inside.execute(
                        [
                            f"ALTER SUBSCRIPTION {NAME} DISABLE",
                            f"ALTER SUBSCRIPTION {NAME} SET (slot_name = NONE)",
                            f"DROP SUBSCRIPTION {NAME}",
                        ]
                    )
        left = {*subscribed(account)} - {*ending}
        if left:
            _note(account, left)
            return
        drop_ours([_role(account), postgres_look.reader_role(account)], db)
    for path in (_path(account), account.directory / "postgres.reader"):
        path.unlink(missing_ok=True)


def serve_stream(directory: Path) -> int:
    """What the source's program runs here: this server's PostgreSQL finds the stream of one slot in this directory, and
    what it says goes over standard input and output. Ends when the source does."""
    group = grp.getgrnam("postgres").gr_gid
    for folder in (pairing.STREAMS, directory):
        folder.mkdir(mode=0o700, exist_ok=True)
        _let_through(folder, group)
    # A connection that was lost may have left its program here.
    with pairing.only_holder(directory / "lock", 0.1), socket.socket(socket.AF_UNIX) as door:
        path = directory / f".s.PGSQL.{_PORT}"
        path.unlink(missing_ok=True)
        os.umask(0o111)  # who gets to the socket may use it: its directory decides
        door.bind(str(path))
        door.listen()
        line = Line(sys.stdin.buffer, sys.stdout.buffer)
        try:
            while not select.select([door, sys.stdin], [], [])[0] == [sys.stdin]:
                _let_in(door.accept()[0], line)
        except EOFError:
            pass
    return 0


def _let_through(directory: Path, group: int) -> None:
    """This group gets to what it knows the name of in a directory of root's; nobody else does."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    os.fchown(descriptor, 0, group)
    os.fchmod(descriptor, 0o710)
    os.close(descriptor)


def _let_in(visitor: socket.socket, line: Line) -> None:
    with visitor:
        carrying = line.carry(visitor.makefile("rb"))
        try:
            for block in line.heard():
                with suppress(OSError):  # it has gone: what comes for it comes to an end
                    visitor.sendall(block)
        finally:
            with suppress(OSError):
                visitor.shutdown(socket.SHUT_RDWR)
        carrying.join()


def stream_up(account: Account, want: verbs.StreamUp, _asking: Asking) -> Nothing:
    """Wait until the source's program for a slot has come."""
    directory = pairing.stream_directory(state_of(account.name).move or "", want.slot)
    end = time.monotonic() + want.seconds
    while True:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(directory / f".s.PGSQL.{_PORT}"))
                return Nothing()
            except OSError as error:
                if time.monotonic() > end:
                    refuse("no_stream", f"The source's PostgreSQL is not reached ({error.strerror}).")
        time.sleep(0.05)


def drop_ours(names: list[str], db: Session) -> None:
    """Drop those of these roles that are there and ours, and own nothing; their sessions end."""
    marks = ", ".join(f"({literal(name)}, {ours.mark(name)})" for name in names)
    names = db.query(f"SELECT to_json(rolname::text) FROM pg_roles WHERE (rolname, rolconnlimit) IN ({marks});")
    names_in_sql = literals(names)
    db.query(f"SELECT to_json(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = ANY({names_in_sql});")
    drop_roles(names, db)


PEER_VERBS = (
    verbs.Subscribe.served_by(subscribe),
    verbs.CatchUp.served_by(catch_up),
    verbs.Look.served_by(look),
    verbs.StreamUp.served_by(stream_up),
)
