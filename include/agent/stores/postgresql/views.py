"""The rows of materialized views, carried as they are: a view may keep what its tables do not hold any more.

No statement puts rows into a materialized view but its own query. While a database is restored its views are therefore
plain tables, which have the same files: they are filled like tables, by the role that restores, and are views again
before anything else is built on them. Nothing else uses the database at that time.
"""

from __future__ import annotations

from ...account.accounts import Account
from . import look
from .digest import copied
from .inventory import NO_EXTENSION, USER_SCHEMA
from .sql import AS_POSTGRES, READING, conninfo, environment, execute, ident, let_in, literal, program

# [schema, view, columns], of those that were filled.
VIEWS = f"""SELECT json_build_array(n.nspname, o.relname, (SELECT json_agg(a.attname ORDER BY a.attname COLLATE "C")
 FROM pg_attribute a WHERE a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped))
 FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace WHERE o.relkind = 'm' AND o.relispopulated
 AND {USER_SCHEMA.format("o.relnamespace")} AND {NO_EXTENSION.format(catalog="pg_class", alias="o")}
 ORDER BY n.nspname, o.relname;
"""
_TURN = """UPDATE pg_class o SET relkind = '{to}', relispopulated = true FROM pg_namespace n
 WHERE n.oid = o.relnamespace AND o.relkind = '{was}' AND n.nspname = {schema} AND o.relname = {view}
 AND EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = o.oid AND r.rulename = '_RETURN') AND {user}"""

Views = list[list[str]]


def as_tables(name: str, views: Views) -> None:
    """The views (schema and name each) of a database that is being restored can be filled."""
    _turn(name, views, "m", "r")


def as_views(name: str, views: Views) -> None:
    """They are views again, with the rows that they were filled with."""
    _turn(name, views, "r", "m")


def _turn(name: str, views: Views, was: str, to: str) -> None:
    user = USER_SCHEMA.format("o.relnamespace")
    execute(
        [_TURN.format(was=was, to=to, schema=literal(schema), view=literal(view), user=user) for schema, view in views],
        name,
    )


def reading(
    account: Account, name: str, snapshot: str, schema: str, view: str, columns: list[str]
) -> tuple[list[str], dict[str, str]]:
    """What puts out a view's rows as of a snapshot, and its environment.

    They can only be read by a query, which is planned: so by the role that has the account's rights alone."""
    user, password = look.reader(account)
    let_in(user)
    database = conninfo(name, host="127.0.0.1", user=user, sslmode="prefer")
    argv = [*AS_POSTGRES, program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]
    argv += ["-c", "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"]
    argv += ["-c", f"SET TRANSACTION SNAPSHOT {literal(snapshot)}"]
    argv += ["-c", f"COPY (SELECT {', '.join(map(ident, columns))} FROM {copied(schema, view, [])}) TO STDOUT"]
    return argv, environment(name, READING, password)
