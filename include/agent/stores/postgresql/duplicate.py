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
from . import contained, grants, inventory, make
from . import follow as postgres_follow
from . import restore as postgres_restore
from . import said as postgres_said
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
            done.said.append(duplicated.said(name, None, error.message))
            continue
        done.bytes += sent.bytes
        done.said += sent.said
        if obstacle:
            done.waits_for(name, obstacle, sent.bytes, time.monotonic() - began)
        there = {tuple(each) for each in peer.call(verbs.ObjectsOfCopy(database=name)).objects}
        gone = {f"{kind} {identity}" for kind, identity in _objects(name) if (kind, identity) not in there}
        done.misses(name, gone | set(sent.empty))


def _with_what_can_be_made(account: Account) -> tuple[Account, list[Remark]]:
    """The account without the databases that a move would refuse, and why it would."""
    said: list[Remark] = []
    made: list[str] = []
    for name in account.postgresql_databases:
        try:
            postgres_definition(account.with_databases("postgresql", (name,)))
            made.append(name)
        except Refused as error:
            if error.code not in ("foreign_role", "foreign_owner", "no_such_database", "too_many_tables"):
                raise
            said.append(duplicated.said(name, None, error.message))
    return account.with_databases("postgresql", made), said


def _objects(name: str) -> list[tuple[str, str]]:
    """Kind and identity of everything that a customer made in a database."""
    found = map(inventory.parsed, kept(name).lines(inventory.inventory({})))
    return [(kind, identity) for _, kind, identity, _ in found]


# --- on the target ---


def _postgresql_prepare(account: Account, want: verbs.PrepareCopy, asking: Asking) -> verbs.CopyPrepared:
    """Roles, and databases without the extensions that nobody may make here: {"left", "said"}."""
    said: list[Remark] = []
    databases = dict(want.databases)
    with Session() as db:
        for name, database in databases.items():
            blocked = make.blocked_extensions(database, db)
            said += [
                duplicated.said(name, f"extension {each}", f"The extension {why}.") for each, why in blocked.items()
            ]
            extensions = [each for each in database.get("extensions", []) if each[0] not in blocked]
            databases[name] = {**database, "extensions": extensions}
    # What an earlier try restored into is made anew; the databases are those of the account that can be made.
    made = tuple(name for name in account.postgresql_databases if name in databases)
    account = account.with_databases("postgresql", made)
    prepare = verbs.Prepare(roles=want.roles, databases=databases, keep=[])
    done = postgres_restore.prepare(account, prepare, asking)
    said += [duplicated.said(name, what, sentence) for name, what, sentence in done.refused]
    return verbs.CopyPrepared(left=done.left, said=said)


def _postgresql_restore(account: Account, want: verbs.RestoreCopy, asking: Asking) -> verbs.CopyRestored:
    """Restore an archive from `stdin` as far as it goes: {"bytes", "said", "empty": ["rows of TABLE" not there]}."""
    name = want.database
    prepared = postgres_restore.use_prepared(account, name)
    said: list[Remark] = []
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
        size = contained.take(account, name, prepared, asking.stdin)
        restore(listing="first")
        contained.give_paths(account, name)
        restore("--section=pre-data")
        contained.open_for_rows(account, name)
        restore("--section=data", "--no-data-for-failed-tables")
        contained.close_for_rows(account, name)
        restore("--section=post-data")
        restore(listing="secured")
        said += [duplicated.said(name, None, each) for each in contained.give(account, name, want.grants)]
        restore(listing="views")
        said += [duplicated.said(name, None, each, "warning") for each in contained.settle(account, name)]
    finally:
        contained.abandon(account, name)
    return verbs.CopyRestored(bytes=size, said=said[: duplicated.MOST], empty=empty[: duplicated.MOST])


def told_by_pg_restore(database: str, text: str) -> tuple[list[Remark], list[str]]:
    """What a verbose pg_restore says of each object that it begins, and the tables whose rows were refused."""
    told = postgres_said.told(text)
    said = [duplicated.said(database, one.object, one.explained, "error" if one.error else "warning") for one in told]
    return said, [one.object for one in told if one.error and one.object and one.object.startswith("rows of ")]


def _postgresql_objects(account: Account, want: verbs.ObjectsOfCopy, _asking: Asking) -> verbs.CopyObjects:
    postgres_restore.ours(account, want.database)
    return verbs.CopyObjects(objects=[list(each) for each in _objects(want.database)])


PEER_VERBS = (
    verbs.PrepareCopy.served_by(_postgresql_prepare),
    verbs.RestoreCopy.served_by(_postgresql_restore),
    verbs.ObjectsOfCopy.served_by(_postgresql_objects),
)
