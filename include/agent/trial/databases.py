"""Databases copied for a test: one dump each, restored as far as the new version takes it.

The rules of a restore are those of a move (postgres_restore, mariadb_restore): the same powerless roles, the same
lists. Only an error does not end it: it is told with the object that it befell.
"""

from __future__ import annotations

import re
import time
from bisect import bisect
from collections.abc import Iterable
from functools import partial
from typing import Any

from ..account.accounts import Account
from ..channel.peer import Peer
from ..host.digest import differences, printable
from ..host.operations import Report
from ..host.system import Refused, read_json, refuse
from ..stores.followed import WhyNot
from ..stores.mariadb import changes, definers, definition, writers
from ..stores.mariadb import restore as mariadb_restore
from ..stores.mariadb.dump import dumps
from ..stores.mariadb.sql import login, queries
from ..stores.mariadb.users import grant_statements, pending_path
from ..stores.postgresql import contained, follow, grants, inventory, make
from ..stores.postgresql import restore as postgres_restore
from ..stores.postgresql import said as postgres_said
from ..stores.postgresql.definition import definition as postgres_definition
from ..stores.postgresql.send import dump_environment, dumped, dumping
from ..stores.postgresql.sql import Session, conninfo, kept

Said = list[dict[str, Any]]
_MOST = 500
"""Of each kind of sentence from one database: a dump of another server's data could fail with every line."""


def _said(database: str | None, what: str | None, message: str, severity: str = "error") -> dict[str, Any]:
    return {
        "database": database and printable(database),
        "severity": severity,
        "object": what and printable(what),
        "message": printable(message)[:1000],
    }


def _waits(database: str, obstacle: WhyNot, size: int, seconds: float) -> dict[str, str]:
    """That a move would copy a database while visitors wait, as this test has just copied it."""
    what = f"Copying it took {seconds:.1f} s for {size / 1e6:,.1f} MB in this test, and visitors would wait as long"
    message = f"{what}, as {obstacle.why}. To have it followed instead, {obstacle.remedy}."
    return {"database": printable(database), "message": message}


def _missing(database: str, names: Iterable[str]) -> list[dict[str, str]]:
    return [{"database": printable(database), "object": printable(name)} for name in sorted(names)[:_MOST]]


# --- PostgreSQL, on the source ---


def postgresql(account: Account, peer: Peer, report: Report, done: dict[str, Any]) -> None:
    """Each database into a fresh one on the peer."""
    if not account.postgresql_roles and not account.postgresql_databases:
        return
    account, unmade = _with_what_can_be_made(account)
    done["said"] += unmade
    defined = postgres_definition(account)
    what = {"roles": defined["roles"], "databases": defined["databases"]}
    prepared = peer.call("duplicate_postgresql_prepare", what)
    done["left"] += [*defined["left"], *prepared["left"]]
    done["said"] += prepared["said"]
    for name in account.postgresql_databases:
        report(done_bytes=done["bytes"], text=f"PostgreSQL: {printable(name)}")
        began = time.monotonic()
        argv = [*dumping(), "-d", conninfo(name)]
        args = {"database": name, "grants": grants.grants(account, name)}
        env = dump_environment(name)
        try:
            obstacle = follow.foreseen(account, name)
            sent = dumped(name, partial(peer.stream, "duplicate_postgresql_restore", args, argv, env=env))
        except Refused as error:
            if error.code != "unreadable":
                raise
            done["said"].append(_said(name, None, error.message))
            continue
        done["bytes"] += sent["bytes"]
        done["said"] += sent["said"]
        if obstacle:
            done["waits"].append(_waits(name, obstacle, sent["bytes"], time.monotonic() - began))
        there = {tuple(each) for each in peer.call("duplicate_postgresql_objects", {"database": name})["objects"]}
        gone = {f"{kind} {identity}" for kind, identity in _objects(name) if (kind, identity) not in there}
        done["missing"] += _missing(name, gone | set(sent["empty"]))


def _with_what_can_be_made(account: Account) -> tuple[Account, Said]:
    """The account without the databases that a move would refuse, and why it would."""
    said: Said = []
    made: list[str] = []
    for name in account.postgresql_databases:
        try:
            postgres_definition(account.with_databases("postgresql", (name,)))
            made.append(name)
        except Refused as error:
            if error.code not in ("foreign_role", "foreign_owner", "no_such_database", "too_many_tables"):
                raise
            said.append(_said(name, None, error.message))
    return account.with_databases("postgresql", made), said


def _objects(name: str) -> list[tuple[str, str]]:
    """Kind and identity of everything that a customer made in a database."""
    found = map(inventory.parsed, kept(name).lines(inventory.inventory({})))
    return [(kind, identity) for _, kind, identity, _ in found]


# --- PostgreSQL, on the target ---


def _postgresql_prepare(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    """Roles, and databases without the extensions that nobody may make here: {"left", "said"}."""
    said: Said = []
    databases = dict(args["databases"])
    with Session() as db:
        for name, database in databases.items():
            blocked = make.blocked_extensions(database, db)
            said += [_said(name, f"extension {each}", f"The extension {why}.") for each, why in blocked.items()]
            extensions = [each for each in database.get("extensions", []) if each[0] not in blocked]
            databases[name] = {**database, "extensions": extensions}
    # What an earlier try restored into is made anew; the databases are those of the account that can be made.
    made = tuple(name for name in account.postgresql_databases if name in databases)
    account = account.with_databases("postgresql", made)
    done = postgres_restore.prepare(account, {"roles": args["roles"], "databases": databases, "keep": []}, stdin)
    said += [_said(name, what, sentence) for name, what, sentence in done["refused"]]
    return {"left": done["left"], "said": said}


def _postgresql_restore(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    """Restore an archive from `stdin` as far as it goes: {"bytes", "said", "empty": ["rows of TABLE" not there]}."""
    name = args["database"]
    prepared = postgres_restore.use_prepared(account, name)
    said: Said = []
    empty: list[str] = []

    def restore(*options: str, listing: str = "list") -> None:
        # One after the other: the words of two at once could not be told apart.
        done = contained.pg_restore(account, name, "--verbose", *options, listing=listing)
        text = done.stderr.decode("utf-8", "backslashreplace")
        if done.returncode != 0 and not postgres_said.IGNORED.search(text):
            refuse("restore_broken", f"pg_restore broke off in {printable(name)}: {printable(text.strip()[-300:])}")
        told = told_by_pg_restore(name, text)
        said.extend(told[0])
        empty.extend(told[1])

    try:
        size = contained.take(account, name, prepared, stdin)
        restore(listing="first")
        contained.give_paths(account, name)
        restore("--section=pre-data")
        contained.open_for_rows(account, name)
        restore("--section=data", "--no-data-for-failed-tables")
        contained.close_for_rows(account, name)
        restore("--section=post-data")
        restore(listing="secured")
        said += [_said(name, None, each) for each in contained.give(account, name, args["grants"])]
        restore(listing="views")
        said += [_said(name, None, each, "warning") for each in contained.settle(account, name)]
    finally:
        contained.abandon(account, name)
    return {"bytes": size, "said": said[:_MOST], "empty": empty[:_MOST]}


def told_by_pg_restore(database: str, text: str) -> tuple[Said, list[str]]:
    """What a verbose pg_restore says of each object that it begins, and the tables whose rows were refused."""
    told = postgres_said.told(text)
    said = [_said(database, one.object, one.explained, "error" if one.error else "warning") for one in told]
    return said, [one.object for one in told if one.error and one.object and one.object.startswith("rows of ")]


def _postgresql_objects(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    postgres_restore.ours(account, args["database"])
    return {"objects": _objects(args["database"])}


# --- MariaDB, on the source ---

_KINDS = ("table", "view", "routine", "trigger", "event")


def mariadb(account: Account, peer: Peer, report: Report, done: dict[str, Any]) -> None:
    """Each database into a fresh one on the peer; its events never run there."""
    if not account.mariadb_users and not account.mariadb_databases:
        return
    defined = definition.definition(account)
    done["left"] += defined["left"]
    others = writers.foreign(account)
    done["said"] += [_said(None, None, writers.sentence(account, one)) for one in others]
    try:
        writers.refuse_references(account)
    except Refused as error:
        done["said"].append(_said(None, None, error.message))
    peer.call("mariadb_prepare", {**defined, "events": []})
    failed: dict[str, set[str]] = {}
    unlogged = changes.why_not()
    for name in account.mariadb_databases:
        report(done_bytes=done["bytes"], text=f"MariaDB: {printable(name)}")
        began, before = time.monotonic(), done["bytes"]
        try:
            definition.refuse_history(account, name)
        except Refused as error:
            done["said"].append(_said(name, None, error.message))
        with login(account, "read", "SELECT, SHOW VIEW, LOCK TABLES") as reader:
            for argv in dumps(name, reader):
                sent = peer.stream("duplicate_mariadb_restore", {"database": name}, argv, env=reader.env())
                done["bytes"] += sent["bytes"]
                done["said"] += sent["said"]
                failed.setdefault(name, set()).update(sent["failed"])
        if unlogged:
            size, seconds = done["bytes"] - before, time.monotonic() - began
            done["waits"].append(_waits(name, unlogged, size, seconds))
    made: list[dict[str, Any]] = []
    broken, heirs = definition.broken_views(account), definers.heirs(account)
    for item in definition.listed_objects(account):
        try:
            definition.refuse_unmovable(account, item, heirs)
            if (item["database"], item["name"]) not in broken:
                made.append(item)
        except Refused as error:
            done["said"].append(_said(item["database"], _called(item), error.message))
    made = definition.with_statements(account, made)
    done["said"] += peer.call("duplicate_mariadb_objects", {"objects": made})["said"]
    here, there = definition.facts(account), peer.call("mariadb_facts", {})
    for name, kinds in here["objects"].items():
        copied = there["objects"].get(name, {})
        for view in kinds.get("view", {}):
            kinds["table"].pop(view, None)  # it is listed as a table too
        gone = {f"{kind} {each}" for kind in _KINDS for each in kinds.get(kind, {}) if each not in copied.get(kind, {})}
        gone |= {f"rows of {table}" for table in failed.get(name, ()) if f"table {table}" not in gone}
        done["missing"] += _missing(name, gone)
        done["said"] += [_said(name, what, why) for what, why in _unlike(kinds, copied)]
    for user, known in here["users"].items():
        if there["users"].get(user, known) != known:
            what = f"The user {printable(user)} is not made there as it is here; ask your host to look at it."
            done["said"].append(_said(None, f"user {user}", what))


def _unlike(mine: dict[str, Any], theirs: dict[str, Any]) -> list[tuple[str, str]]:
    """What came over and is not as it was, with a sentence: a move would refuse it."""
    return [
        (
            f"{kind} {name}",
            f"This {kind} is made there otherwise than it is here: {differences(facts, theirs[kind][name])[0]}",
        )
        for kind, known in mine.items()
        for name, facts in known.items()
        if name in theirs.get(kind, {}) and theirs[kind][name] != facts
    ][:_MOST]


def _called(item: dict[str, Any]) -> str:
    return f"{str(item['kind']).lower()} {item['name']}"


# --- MariaDB, on the target ---

_NAMED = re.compile(
    rb"(?:/\*!\d+ )?(?:CREATE TABLE|CREATE SEQUENCE|ALTER TABLE|INSERT INTO|(?:DO|SELECT) SETVAL\() ?`((?:[^`]|``)*)`"
)
_ERROR = re.compile(r"^ERROR (\d+ \(\w+\)) at line (\d+): (.*)", re.MULTILINE)


def _mariadb_restore(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    """Feed a dump of tables from `stdin` to the client, which goes on after an error.

    {"bytes", "said", "failed": tables of which something was refused}."""
    database = args["database"]
    if database not in account.mariadb_databases or read_json(pending_path(account)) is None:
        refuse("other_account", f"The database {printable(str(database))} was not prepared for {account.name}.")
    size, number, starts = 0, 0, [0]
    tables: list[str | None] = [None]
    with login(account, "restore", "ALL") as user, mariadb_restore.client_of(user, database, "--force") as client:
        assert client.stdin is not None and client.stderr is not None
        try:
            for line in stdin:
                size, number = size + len(line), number + 1
                found = _NAMED.match(line[:2000])
                if found:
                    starts.append(number)
                    tables.append(found[1].decode("utf-8", "surrogateescape").replace("``", "`"))
                client.stdin.write(line)
            client.stdin.close()
        except BrokenPipeError:
            pass
        text = client.stderr.read().decode("utf-8", "backslashreplace")
    said: Said = []
    failed = set()
    for code, at, message in _ERROR.findall(text)[:_MOST]:
        if table := tables[bisect(starts, int(at)) - 1]:
            failed.add(table)
        said.append(_said(database, table and f"table {table}", f"{message} [{code}]"))
    if client.returncode != 0 and not said:
        refuse("restore_broken", f"MariaDB's client broke off in {printable(database)}: {printable(text[-300:])}")
    return {"bytes": size, "said": said, "failed": sorted(failed)}


def _mariadb_objects(account: Account, args: dict[str, Any], stdin: Any) -> dict[str, Any]:
    """Make routines, views, triggers and events (disabled), and grant what can be granted: {"said"}."""
    pending = read_json(pending_path(account))
    if pending is None:
        refuse("not_prepared", f"Nothing of {account.name} was prepared here.")
    said: Said = []
    known = []
    for item in args["objects"]:
        try:
            known.append(mariadb_restore.checked(account, item))
        except Refused as error:
            said.append(_said(item["database"], _called(item), error.message))
    # A view's definer must be allowed what it reads before it is made; what is granted on new objects comes after.
    _grant(account, pending)
    for item, why in mariadb_restore.make_most(account, known):
        said.append(_said(item["database"], _called(item), why))
    return {"said": said + _grant(account, pending)}


def _grant(account: Account, pending: dict[str, Any]) -> Said:
    """Every grant that can be given; those that cannot."""
    said = []
    for user in mariadb_restore.granted(pending):
        for statement in grant_statements(account, user):
            try:
                queries([statement])
            except Refused as error:
                said.append(_said(None, f"grant to {user['user']}@{user['host']}", error.message))
    return said


PEER_VERBS = {
    "duplicate_postgresql_prepare": _postgresql_prepare,
    "duplicate_postgresql_restore": _postgresql_restore,
    "duplicate_postgresql_objects": _postgresql_objects,
    "duplicate_mariadb_restore": _mariadb_restore,
    "duplicate_mariadb_objects": _mariadb_objects,
}
