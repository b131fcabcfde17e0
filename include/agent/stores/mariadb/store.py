"""An account's MariaDB databases and users: described, held, followed and compared."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...channel.peer import Peer
from ...host import ours
from ...host.digest import printable
from ...host.scope import Scope
from ...host.system import Refused, read_json, refuse, write_durably
from ...verbs import mariadb as verbs
from ...verbs.verb import Answer
from ..duplicated import StoreCopy
from ..followed import WhyNot
from ..store import Engine, Following, Noted, Report
from . import access, changes, duplicate, load, obstacles, restore, write, writers
from . import digest as mariadb_digest
from . import follow as mariadb_follow
from . import users as mariadb_users
from .definition import facts, held_path, users_of
from .events import enabled, switch
from .following import forget
from .sql import UNLOGGED, existing, is_own, literal, login, queries, query, select, user_name

SCOPE = Scope(
    what="every row of every table, sequences, and whatever defines them: users and roles with their passwords, limits"
    " and grants, databases, tables, indexes, keys, views, routines, triggers and events",
    how="a checksum over each table's rows; the facts of information_schema, and the text of routines, triggers and"
    " events",
    when="all of it at the copy; in the hold the rows that changed since, tables without a key that were written to as"
    " a whole, and the definitions if any changed; a database that is dumped, whole in the hold",
    without=(
        "Global privileges and whatever reaches beyond the account's own databases: they are not carried.",
        "The text of views, which each version prints in its own way: columns, definers and options are compared.",
        "Virtual columns and what is in an index: the new server computes them from what is compared.",
        "The optimizer's numbers, the form in which old tables keep times, and where rows lie in a file: each server's"
        " own.",
    ),
)
_DRAIN_SECONDS = 1.0


def _end_connections(users: list[tuple[str, str]], name: str, patience: float = _DRAIN_SECONDS) -> None:
    if not users:
        return
    names = ", ".join(literal(user) for user, _ in users)
    mine = f"FROM information_schema.PROCESSLIST p WHERE BINARY p.USER IN ({names})"
    busy = f"{mine} AND (p.COMMAND NOT IN ('Sleep', 'Connect') OR EXISTS (SELECT 1 FROM information_schema.INNODB_TRX t"
    busy += " WHERE t.trx_mysql_thread_id = p.ID))"
    kills = [f"KILL HARD USER {user_name(*user)}" for user in users]
    began = time.monotonic()
    quiet = 0
    while quiet < 2:  # a login that began before the lock shows a moment later
        elapsed = time.monotonic() - began
        if elapsed > 10:
            refuse("connections_remain", f"MariaDB connections of {name} do not end; look at them.")
        if elapsed < patience and query(["COUNT(*)"], busy)[0][0] != "0":
            time.sleep(0.005)
            continue
        left = int(queries([*kills, select(["COUNT(*)"], mine)])[-1][0][0] or 0)
        quiet = 0 if left else quiet + 1
        time.sleep(0.005)


def _digest(account: Account) -> dict[str, Any]:
    """{"databases": {name: digest}, "users": {name: facts}, "tables": number, "rows": number}; equal on both sides."""
    names = existing(account.mariadb_databases)
    with login(account, "read", "SELECT") as reader:
        databases = {name: mariadb_digest.of_database(name, reader) for name in names}
    counts = [table[0] for database in databases.values() for table in database["tables"].values()]
    users = mariadb_users.user_facts(account, users_of(account), read_json(held_path(account)))
    return {"databases": databases, "users": users, "tables": len(counts), "rows": sum(counts)}


_PEER_VERBS: tuple[Answer, ...] = (
    *restore.PEER_VERBS,
    *load.PEER_VERBS,
    *write.PEER_VERBS,
    *duplicate.PEER_VERBS,
    verbs.Digest.told_by(_digest),
    verbs.FactsOfAll.told_by(facts),
)


class Mariadb(Engine):
    """A server's MariaDB."""

    name, digest_verb, service, scope = "mariadb", verbs.Digest, "mariadb", SCOPE
    port, socket = 3306, Path("/run/mysqld/mysqld.sock")
    peer_verbs = _PEER_VERBS

    def full_version(self) -> str:
        return str(query(["VERSION()"], "")[0][0]).split("-")[0]

    def databases(self) -> list[str]:
        own = "'mysql', 'information_schema', 'performance_schema', 'sys'"
        rows = query(["SCHEMA_NAME"], f"FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ({own})")
        return [str(name) for (name,) in rows]

    def owners(self) -> dict[str, list[Any]]:
        """By the users who have rights on each as a whole, themselves or by a role: MariaDB knows no owner."""
        return access.of_databases(self.databases(), ("db",))

    def guests(self) -> dict[str, list[Any]]:
        """By the rights on parts of a database."""
        return access.of_databases(self.databases(), ("tables_priv", "columns_priv", "procs_priv"))

    def passwords(self) -> dict[str, Callable[[str], bool]]:
        return access.passwords()

    def enrol(self) -> None:
        """Refuse a server on which somebody has users with names of ours."""
        named = "FROM mysql.global_priv WHERE LOWER(User) LIKE 'th\\_%'"
        for user, host, priv in query(["User", "Host", "Priv"], named):
            kept = json.loads(priv or "{}")
            if not kept.get("is_role") and not is_own(str(user), str(host), kept):
                ours.refuse_taken("MariaDB user", f"{user}@{host}")

    def describe(self, account: Account) -> dict[str, Any]:
        """{"databases": [{"name", "bytes"}], "users": [{"user", "host"}]}: those of the account that exist here."""
        databases = []
        for name in existing(account.mariadb_databases):
            rows = query(
                ["IFNULL(SUM(DATA_LENGTH + INDEX_LENGTH), 0)"],
                f"FROM information_schema.TABLES WHERE TABLE_SCHEMA = {literal(name)}",
            )
            databases.append({"name": name, "bytes": int(float(rows[0][0] or 0))})
        return {"databases": databases, "users": [{"user": user, "host": host} for user, host in users_of(account)]}

    def unfollowed(self) -> WhyNot | None:
        return changes.why_not()

    def hold(self, account: Account) -> dict[str, Any]:
        """Lock the account's users, end their connections and disable the events that are enabled.

        What runs has a second to end by itself. Returns what must be given back: {"unlocked": [[user, host]],
        "events": [[database, event]]}. It is also written down here before anything is changed, so a second hold
        changes nothing of it. Nothing of it goes into the binary log: it is this server's affair, and no change of the
        account."""
        writers.refuse_foreign(account)
        users = users_of(account)
        saved = read_json(held_path(account))
        if saved is None:
            saved = {
                "unlocked": [list(user) for user, kept in users.items() if not kept.get("account_locked")],
                "events": enabled(account),
            }
            write_durably(held_path(account), json.dumps(saved))
        statements = [UNLOGGED]
        statements += [f"ALTER USER {user_name(*user)} ACCOUNT LOCK" for user in users]
        statements += switch(account, saved["events"], "DISABLE")
        queries(statements)
        _end_connections(list(users), account.name)
        for statement in writers.connections(account):
            with contextlib.suppress(Refused):  # it has ended by itself
                queries([statement])
        return saved

    def unhold(self, account: Account) -> None:
        """Unlock the users and enable the events that a hold locked and disabled."""
        saved = read_json(held_path(account))
        if saved is None:
            return
        here = users_of(account)
        unlocked = {tuple(user) for user in saved.get("unlocked", [])}
        statements = [UNLOGGED]
        statements += [f"ALTER USER {user_name(*user)} ACCOUNT UNLOCK" for user in here if user in unlocked]
        queries(statements + switch(account, saved.get("events", []), "ENABLE"))
        held_path(account).unlink(missing_ok=True)

    def lock(self, account: Account) -> None:
        """For good: what was held here belongs to another server now. The hold has locked it as well as it can be."""
        queries([UNLOGGED, *(f"ALTER USER {user_name(*user)} ACCOUNT LOCK" for user in users_of(account))])

    def end_sessions(self, account: Account) -> None:
        """Target: nobody writes the copy any more; what was under way is rolled back."""
        users = [
            (f"th_{purpose}_{account.name}", "localhost")
            for purpose in ("follow", "make", "load", "restore", "create", "read")
        ]
        _end_connections(users, account.name, patience=0)

    def duplicate(self, account: Account, peer: Peer, report: Report, done: StoreCopy) -> None:
        duplicate.duplicate(account, peer, report, done)

    def obstacles(self, account: Account, noted: Noted) -> list[str]:
        return obstacles.obstacles(account, noted)

    def require_passwords(self, account: Account) -> None:
        """Refuse an account one of whose users is known by its Unix user, whom another server cannot see."""
        for (user, host), kept in users_of(account).items():
            for plugin, name in mariadb_users.plugins_of(kept):
                if plugin == "unix_socket" and (name or user) == account.name:
                    refuse(
                        "not_led",
                        f"The MariaDB user {printable(user)}@{printable(host)} may log in as the Unix user of that "
                        "name, which no other server can check; give it a password only, then perform again.",
                    )

    def require_front(self, account: Account) -> None:
        """Refuse to be a server for led programs whose users are not recognised behind the front."""
        networks, unresolved = query(["@@GLOBAL.proxy_protocol_networks", "@@GLOBAL.skip_name_resolve"], "")[0]
        if "127.0.0.9" not in str(networks):
            refuse("not_led", "MariaDB here must take the front's word: set proxy_protocol_networks = 127.0.0.9.")
        if unresolved in ("1", "ON") and any(host.lower() == "localhost" for _, host in account.mariadb_users):
            refuse("not_led", "MariaDB here calls nobody localhost: take skip_name_resolve out of its settings.")

    def digest(self, account: Account) -> dict[str, Any]:
        return _digest(account)

    def follow(self, account: Account, peer: Peer, report: Report) -> Following:
        return mariadb_follow.follow(self, account, peer, report)

    def unfollow(self, account: Account) -> None:
        forget(account)

    def finish(self, account: Account) -> None:
        restore.finish(account)

    def discard(self, account: Account) -> None:
        restore.discard(account)


MARIADB = Mariadb()
