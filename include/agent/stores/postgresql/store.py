"""An account's PostgreSQL databases and roles on this server: described, held, digested, discarded.

How they move stands in postgres_move (both ways of it), postgres_follow and postgres_apply (logical replication) and
postgres_restore (a dump).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...account.accounts import Account
from ...channel.peer import Peer
from ...host import ours
from ...host.scope import Scope
from ...verbs import postgresql as verbs
from ...verbs.verb import Answer
from ..duplicated import StoreCopy
from ..followed import WhyNot
from ..store import Engine, Following, Noted, Report
from . import access, apply, duplicate, large, logins, move, obstacles, publish, restore
from . import digest as postgres_digest
from . import follow as postgres_follow
from . import hold as postgres_hold
from .sql import Session, execute, kept, literals, query

SCOPE = Scope(
    what="every row of every table and materialized view, those that extensions name as yours in tables of theirs,"
    " large objects, sequences, and what defines them: roles,"
    " databases with their settings and grants, schemas, tables, indexes, views, functions and rules",
    how="a checksum over each table's rows; each definition's facts and words, without brackets and casts; and on each"
    " side a fingerprint of the catalogues, by which nothing was defined otherwise since",
    when="all of it at the copy; in the hold the rows that changed since, all sequences and large objects that changed,"
    " the roles and the definitions; a database that is dumped whole in the hold",
    without=(
        "Publications, subscriptions and event triggers: only a server's administrator can make them, so they are not"
        " carried.",
        "Rows that an extension brought along in its own tables: the new server's extension brings its own. What you"
        " have changed in them is not carried.",
        "Settings, privileges and memberships that only a superuser may give: they are not carried.",
        "Generated columns and what is in an index: the new server computes them from what is compared.",
        "Brackets, casts and the names of tables before columns in expressions and queries: each version prints them in"
        " its own way.",
        "Rows behind foreign tables: they are another server's.",
        "Materialized views of a database that is dumped whole in the hold: they are computed anew.",
        "Where rows and free space lie in a table's file: the new server's own.",
    ),
)


def _digest(account: Account) -> dict[str, Any]:
    """{"databases": {name: digest}, "roles": {name: facts}, "tables": number, "rows": number}; equal on both sides."""
    databases = {
        name: postgres_digest.of_database(
            name, identities=postgres_follow.identities(account, name), roles=account.postgresql_roles
        )
        for name in kept().existing(account.postgresql_databases)
    }
    counts = [table[0] for database in databases.values() for table in database["tables"].values()]
    roles = restore.role_facts(account, kept())
    return {"databases": databases, "roles": roles, "tables": len(counts), "rows": sum(counts)}


_PEER_VERBS: tuple[Answer, ...] = (
    *restore.PEER_VERBS,
    *apply.PEER_VERBS,
    *large.PEER_VERBS,
    *duplicate.PEER_VERBS,
    verbs.Digest.told_by(_digest),
)


class Postgresql(Engine):
    """A server's PostgreSQL."""

    name, digest_verb, service, scope = "postgresql", verbs.Digest, "postgresql", SCOPE
    port, socket = 5432, Path("/run/postgresql/.s.PGSQL.5432")
    peer_verbs = _PEER_VERBS

    def full_version(self) -> str:
        return str(query("SELECT to_json(split_part(current_setting('server_version'), ' ', 1));")[0])

    def databases(self) -> list[str]:
        own = "datistemplate OR datname = 'postgres'"
        return query(f"SELECT to_json(datname::text) FROM pg_database WHERE NOT ({own});")

    def owners(self) -> dict[str, list[Any]]:
        return access.of_databases(self.databases(), access.OWNERS)

    def guests(self) -> dict[str, list[Any]]:
        return access.of_databases(self.databases(), access.GUESTS)

    def passwords(self) -> dict[str, Callable[[str], bool]]:
        return access.passwords()

    def enrol(self) -> None:
        """Refuse a server on which somebody has roles with names of ours. Customers stay out of the databases that are
        nobody's, and of which new ones are made."""
        roles = "FROM pg_roles WHERE rolname ILIKE 'th\\_%' ORDER BY rolname;"
        for name, limit in query(f"SELECT json_build_array(rolname, rolconnlimit) {roles}"):
            if limit != ours.mark(name):
                ours.refuse_taken("PostgreSQL role", name)
        execute(
            [f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC" for name in kept().existing(["postgres", "template1"])]
        )

    def describe(self, account: Account) -> dict[str, Any]:
        """{"databases": [{"name", "bytes"}], "roles": [names]}: those of the account that exist here."""
        # One session for all of a server's accounts: to start a program for each takes longer than all their questions.
        databases = kept().query(
            "SELECT json_build_object('name', datname, 'bytes', pg_database_size(oid)) FROM pg_database"
            f" WHERE datname::text = ANY({literals(account.postgresql_databases)}) ORDER BY datname;"
            "SELECT json_build_object('role', rolname) FROM pg_roles"
            f" WHERE rolname::text = ANY({literals(account.postgresql_roles)}) ORDER BY rolname;"
        )
        return {
            "databases": [row for row in databases if "name" in row],
            "roles": [row["role"] for row in databases if "role" in row],
        }

    def unfollowed(self) -> WhyNot | None:
        return publish.server_obstacle()

    def hold(self, account: Account) -> object:
        return postgres_hold.hold(account)

    def unhold(self, account: Account) -> None:
        postgres_hold.unhold(account)

    def lock(self, account: Account) -> None:
        postgres_hold.lock(account)

    def end_sessions(self, account: Account) -> None:
        """Target: nobody writes the copy any more but what applies the source's changes."""
        names = literals(account.postgresql_databases)
        with Session() as db:
            db.query(
                "SELECT json_build_array(pid, pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname ="
                f" ANY({names}) AND pid <> pg_backend_pid() AND backend_type = 'client backend';"
            )

    def duplicate(self, account: Account, peer: Peer, report: Report, done: StoreCopy) -> None:
        duplicate.duplicate(account, peer, report, done)

    def obstacles(self, account: Account, noted: Noted) -> list[str]:
        return obstacles.obstacles(account, noted)

    def require_passwords(self, account: Account) -> None:
        logins.require_passwords(account, [None, "127.0.0.1", "::1"])

    def require_front(self, account: Account) -> None:
        logins.require_passwords(account, ["127.0.0.9"])

    def digest(self, account: Account) -> dict[str, Any]:
        return _digest(account)

    def follow(self, account: Account, peer: Peer, report: Report) -> Following:
        return move.follow(self, account, peer, report)

    def unfollow(self, account: Account) -> None:
        postgres_follow.end(account)

    def finish(self, account: Account) -> None:
        restore.finish(account)

    def discard(self, account: Account) -> None:
        """Drop the account's databases and roles from this server, and what followed them or followed for them."""
        postgres_follow.end(account)
        restore.discard(account)


POSTGRESQL = Postgresql()
