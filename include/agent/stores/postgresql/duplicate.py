"""PostgreSQL databases copied for a test: one dump each, restored as far as the new version takes it.

The rules of a restore are those of a move (restore): the same powerless roles, the same lists. Only an error does not
end it: it is told with the object that it befell.
"""

from __future__ import annotations

import time
from functools import partial

from ...account.accounts import Account
from ...channel.peer import Peer
from ...host.digest import printable
from ...host.system import Refused, refuse
from ...verbs import postgresql as verbs
from ...verbs.reports import Remark
from ...verbs.verb import Asking
from .. import duplicated
from ..store import Report
from . import contained, grants, inventory, make, tool_messages
from . import follow as postgres_follow
from . import restore as postgres_restore
from .definition import definition as postgres_definition
from .send import dump_environment, dumped, dumping
from .sql import Session, conninfo, kept


def duplicate(account: Account, peer: Peer, report: Report, done: duplicated.StoreCopy) -> None:
    """Each database into a fresh one on the peer."""
    if not account.postgresql_roles and not account.postgresql_databases:
        return
    account, unmade = _with_what_can_be_made(account)
    done.said += unmade
    defined = postgres_definition(account)
    prepared = peer.call(verbs.PrepareCopy(roles=defined["roles"], databases=defined["databases"]))
    done.left += [*defined["left"], *prepared.left]
    done.said += prepared.said
    for name in account.postgresql_databases:
        report(done_bytes=done.bytes, text=f"PostgreSQL: {printable(name)}")
        began = time.monotonic()
        argv = [*dumping(), "-d", conninfo(name)]
        restore = verbs.RestoreCopy(database=name, grants=grants.grants(account, name))
        env = dump_environment(name)
        try:
            obstacle = postgres_follow.foreseen(account, name)
            sent = dumped(name, partial(peer.stream, restore, argv, env=env))
        except Refused as error:
            if error.code != "unreadable":
                raise
            done.said.append(duplicated.note(name, None, error.message))
            continue
        done.bytes += sent.bytes
        done.said += sent.said
        if obstacle:
            done.waits_for(name, obstacle, sent.bytes, time.monotonic() - began)
        copied = {tuple(entry) for entry in peer.call(verbs.ObjectsOfCopy(database=name)).objects}
        missing = {f"{kind} {identity}" for kind, identity in _objects(name) if (kind, identity) not in copied}
        done.misses(name, missing | set(sent.empty))


def _with_what_can_be_made(account: Account) -> tuple[Account, list[Remark]]:
    """The account without the databases that a move would refuse, and why it would."""
    notes: list[Remark] = []
    made: list[str] = []
    for name in account.postgresql_databases:
        try:
            postgres_definition(account.with_databases("postgresql", (name,)))
            made.append(name)
        except Refused as error:
            if error.code not in ("foreign_role", "foreign_owner", "no_such_database", "too_many_tables"):
                raise
            notes.append(duplicated.note(name, None, error.message))
    return account.with_databases("postgresql", made), notes


def _objects(name: str) -> list[tuple[str, str]]:
    """Kind and identity of everything that a customer made in a database."""
    rows = map(inventory.parsed, kept(name).lines(inventory.inventory({})))
    return [(kind, identity) for _, kind, identity, _ in rows]


# --- on the target ---


def _postgresql_prepare(account: Account, want: verbs.PrepareCopy, asking: Asking) -> verbs.CopyPrepared:
    """Roles, and databases without the extensions that nobody may make here: {"left", "said"}."""
    notes: list[Remark] = []
    databases = dict(want.databases)
    with Session() as db:
        for name, database in databases.items():
            blocked = make.blocked_extensions(database, db)
            notes += [
                duplicated.note(name, f"extension {extension}", f"The extension {why}.")
                for extension, why in blocked.items()
            ]
            extensions = [extension for extension in database.get("extensions", []) if extension[0] not in blocked]
            databases[name] = {**database, "extensions": extensions}
    # What an earlier try restored into is made anew; the databases are those of the account that can be made.
    made = tuple(name for name in account.postgresql_databases if name in databases)
    account = account.with_databases("postgresql", made)
    prepare = verbs.Prepare(roles=want.roles, databases=databases, keep=[])
    done = postgres_restore.prepare(account, prepare, asking)
    notes += [duplicated.note(name, object_name, sentence) for name, object_name, sentence in done.refused]
    return verbs.CopyPrepared(left=done.left, said=notes)


def _postgresql_restore(account: Account, want: verbs.RestoreCopy, asking: Asking) -> verbs.CopyRestored:
    """Restore an archive from `stdin` as far as it goes: {"bytes", "said", "empty": ["rows of TABLE" not there]}."""
    name = want.database
    prepared = postgres_restore.use_prepared(account, name)
    notes: list[Remark] = []
    empty: list[str] = []

    def restore(*options: str, listing: str = "list") -> None:
        # One after the other: the words of two at once could not be told apart.
        done = contained.pg_restore(account, name, "--verbose", *options, listing=listing)
        text = done.stderr.decode("utf-8", "backslashreplace")
        if done.returncode != 0 and not tool_messages.IGNORED.search(text):
            refuse("restore_broken", f"pg_restore broke off in {printable(name)}: {printable(text.strip()[-300:])}")
        printed = notes_of_pg_restore(name, text)
        notes.extend(printed[0])
        empty.extend(printed[1])

    try:
        size = contained.take(account, name, prepared, asking.stdin)
        restore(listing="first")
        contained.give_paths(account, name)
        restore("--section=pre-data")
        contained.open_for_rows(account, name)
        restore("--section=data", "--no-data-for-failed-tables")
        contained.close_for_rows(account, name)
        restore("--section=post-data")
        restore(listing="secured")
        notes += [duplicated.note(name, None, sentence) for sentence in contained.give(account, name, want.grants)]
        restore(listing="views")
        notes += [duplicated.note(name, None, sentence, "warning") for sentence in contained.analyze(account, name)]
    finally:
        contained.abandon(account, name)
    return verbs.CopyRestored(bytes=size, said=notes[: duplicated.MOST], empty=empty[: duplicated.MOST])


def notes_of_pg_restore(database: str, text: str) -> tuple[list[Remark], list[str]]:
    """What a verbose pg_restore says of each object that it begins, and the tables whose rows were refused."""
    entries = tool_messages.messages(text)
    notes = [
        duplicated.note(database, entry.object, entry.explained, "error" if entry.error else "warning")
        for entry in entries
    ]
    return notes, [
        entry.object for entry in entries if entry.error and entry.object and entry.object.startswith("rows of ")
    ]


def _postgresql_objects(account: Account, want: verbs.ObjectsOfCopy, _asking: Asking) -> verbs.CopyObjects:
    postgres_restore.ours(account, want.database)
    return verbs.CopyObjects(objects=[list(entry) for entry in _objects(want.database)])


PEER_VERBS = (
    verbs.PrepareCopy.served_by(_postgresql_prepare),
    verbs.RestoreCopy.served_by(_postgresql_restore),
    verbs.ObjectsOfCopy.served_by(_postgresql_objects),
)
