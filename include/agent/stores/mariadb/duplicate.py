"""MariaDB databases copied for a test: one dump each, restored as far as the new version takes it.

The rules of a restore are those of a move (restore): the same powerless roles, the same lists. Only an error does not
end it: it is told with the object that it befell.
"""

from __future__ import annotations

import re
import time
from bisect import bisect
from typing import Any

from ...account.accounts import Account
from ...channel.peer import Peer
from ...host.digest import differences, printable
from ...host.system import Refused, read_json, refuse
from ...verbs import mariadb as verbs
from ...verbs.reports import Remark
from ...verbs.verb import Asking
from .. import duplicated
from ..store import Report
from . import changes, definers, definition, writers
from . import restore as mariadb_restore
from .dump import dumps
from .sql import login, queries
from .users import grant_statements, pending_path

_KINDS = ("table", "view", "routine", "trigger", "event")


def duplicate(account: Account, peer: Peer, report: Report, done: duplicated.StoreCopy) -> None:
    """Each database into a fresh one on the peer; its events never run there."""
    if not account.mariadb_users and not account.mariadb_databases:
        return
    defined = definition.definition(account)
    done.left += defined["left"]
    foreign = writers.foreign(account)
    done.said += [duplicated.note(None, None, writers.sentence(account, writer)) for writer in foreign]
    try:
        writers.refuse_references(account)
    except Refused as error:
        done.said.append(duplicated.note(None, None, error.message))
    peer.call(verbs.Prepare(**verbs.told(defined) | {"events": []}))
    failed: dict[str, set[str]] = {}
    unlogged = changes.why_not()
    for name in account.mariadb_databases:
        report(done_bytes=done.bytes, text=f"MariaDB: {printable(name)}")
        began, before = time.monotonic(), done.bytes
        try:
            definition.refuse_history(account, name)
        except Refused as error:
            done.said.append(duplicated.note(name, None, error.message))
        with login(account, "read", "SELECT, SHOW VIEW, LOCK TABLES") as reader:
            for argv in dumps(name, reader):
                sent = peer.stream(verbs.RestoreCopy(database=name), argv, env=reader.env())
                done.bytes += sent.bytes
                done.said += sent.said
                failed.setdefault(name, set()).update(sent.failed)
        if unlogged:
            size, seconds = done.bytes - before, time.monotonic() - began
            done.waits_for(name, unlogged, size, seconds)
    made: list[dict[str, Any]] = []
    broken, heirs = definition.broken_views(account), definers.heirs(account)
    for item in definition.listed_objects(account):
        try:
            definition.refuse_unmovable(account, item, heirs)
            if (item["database"], item["name"]) not in broken:
                made.append(item)
        except Refused as error:
            done.said.append(duplicated.note(item["database"], _called(item), error.message))
    made = definition.with_statements(account, made)
    done.said += peer.call(verbs.MakeObjectsOfCopy(objects=made)).said
    facts_here, facts_there = definition.facts(account), peer.call(verbs.FactsOfAll())
    for name, kinds in facts_here["objects"].items():
        copied = facts_there["objects"].get(name, {})
        for view in kinds.get("view", {}):
            kinds["table"].pop(view, None)  # it is listed as a table too
        missing = {
            f"{kind} {identity}"
            for kind in _KINDS
            for identity in kinds.get(kind, {})
            if identity not in copied.get(kind, {})
        }
        missing |= {f"rows of {table}" for table in failed.get(name, ()) if f"table {table}" not in missing}
        done.misses(name, missing)
        done.said += [duplicated.note(name, object_name, why) for object_name, why in _unlike(kinds, copied)]
    for user, user_facts in facts_here["users"].items():
        if facts_there["users"].get(user, user_facts) != user_facts:
            sentence = f"The user {printable(user)} is not made there as it is here; ask your host to look at it."
            done.said.append(duplicated.note(None, f"user {user}", sentence))


def _unlike(mine: dict[str, Any], theirs: dict[str, Any]) -> list[tuple[str, str]]:
    """What came over and is not as it was, with a sentence: a move would refuse it."""
    return [
        (
            f"{kind} {name}",
            f"This {kind} is made there otherwise than it is here: {differences(facts, theirs[kind][name])[0]}",
        )
        for kind, objects in mine.items()
        for name, facts in objects.items()
        if name in theirs.get(kind, {}) and theirs[kind][name] != facts
    ][: duplicated.MOST]


def _called(item: dict[str, Any]) -> str:
    return f"{str(item['kind']).lower()} {item['name']}"


# --- on the target ---

_NAMED = re.compile(
    rb"(?:/\*!\d+ )?(?:CREATE TABLE|CREATE SEQUENCE|ALTER TABLE|INSERT INTO|(?:DO|SELECT) SETVAL\() ?`((?:[^`]|``)*)`"
)
_ERROR = re.compile(r"^ERROR (\d+ \(\w+\)) at line (\d+): (.*)", re.MULTILINE)


def _mariadb_restore(account: Account, want: verbs.RestoreCopy, asking: Asking) -> verbs.CopyRestored:
    """Feed a dump of tables from `stdin` to the client, which goes on after an error.

    {"bytes", "said", "failed": tables of which something was refused}."""
    database = want.database
    if database not in account.mariadb_databases or read_json(pending_path(account)) is None:
        refuse("other_account", f"The database {printable(str(database))} was not prepared for {account.name}.")
    size, number, starts = 0, 0, [0]
    tables: list[str | None] = [None]
    with login(account, "restore", "ALL") as user, mariadb_restore.client_of(user, database, "--force") as client:
        assert client.stdin is not None and client.stderr is not None
        try:
            for line in asking.stdin:
                size, number = size + len(line), number + 1
                match = _NAMED.match(line[:2000])
                if match:
                    starts.append(number)
                    tables.append(match[1].decode("utf-8", "surrogateescape").replace("``", "`"))
                client.stdin.write(line)
            client.stdin.close()
        except BrokenPipeError:
            pass
        text = client.stderr.read().decode("utf-8", "backslashreplace")
    notes: list[Remark] = []
    failed = set()
    for code, at, message in _ERROR.findall(text)[: duplicated.MOST]:
        if table := tables[bisect(starts, int(at)) - 1]:
            failed.add(table)
        notes.append(duplicated.note(database, table and f"table {table}", f"{message} [{code}]"))
    if client.returncode != 0 and not notes:
        refuse("restore_broken", f"MariaDB's client broke off in {printable(database)}: {printable(text[-300:])}")
    return verbs.CopyRestored(bytes=size, said=notes, failed=sorted(failed))


def _mariadb_objects(account: Account, want: verbs.MakeObjectsOfCopy, _asking: Asking) -> verbs.CopyMade:
    """Make routines, views, triggers and events (disabled), and grant what can be granted: {"said"}."""
    pending = read_json(pending_path(account))
    if pending is None:
        refuse("not_prepared", f"Nothing of {account.name} was prepared here.")
    notes: list[Remark] = []
    objects = []
    for item in want.objects:
        try:
            objects.append(mariadb_restore.checked(account, item))
        except Refused as error:
            notes.append(duplicated.note(item["database"], _called(item), error.message))
    # A view's definer must be allowed what it reads before it is made; what is granted on new objects comes after.
    _grant(account, pending)
    for item, why in mariadb_restore.make_most(account, objects):
        notes.append(duplicated.note(item["database"], _called(item), why))
    return verbs.CopyMade(said=notes + _grant(account, pending))


def _grant(account: Account, pending: dict[str, Any]) -> list[Remark]:
    """Every grant that can be given; those that cannot."""
    notes: list[Remark] = []
    for user in mariadb_restore.granted(pending):
        for statement in grant_statements(account, user):
            try:
                queries([statement])
            except Refused as error:
                notes.append(duplicated.note(None, f"grant to {user['user']}@{user['host']}", error.message))
    return notes


PEER_VERBS = (
    verbs.RestoreCopy.served_by(_mariadb_restore),
    verbs.MakeObjectsOfCopy.served_by(_mariadb_objects),
)
