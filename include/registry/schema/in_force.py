"""What is in force beside the tables: functions with the triggers that call them, and views, one file each.

Every upgrade makes them anew from `functions/` and `views/`, whatever revision the database comes from, so a rule is
read, changed and reviewed in one place. Revisions (`versions/`) change tables and data, and do so without triggers and
views; one that changes what a function takes or gives drops it first.

Every refusal of a guard has SQLSTATE TH001 and one sentence (TH002: wait for something else to end). A trigger's first
letter is its turn: PostgreSQL fires triggers in the order of their names, and a transition that is not declared is
refused before its facts are looked at.

Lock order: the account first, then the turn on which servers are chosen. Whoever begins a test or a move locks the
account before it looks for what speaks against it, and takes the turn before it counts what a server has, so two that
begin at once see each other.
"""

import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from psycopg import Connection
from psycopg.sql import SQL, Identifier

_FOLDER = Path(__file__).parent
_TRIGGER = re.compile(r"^CREATE TRIGGER .*?;", re.MULTILINE | re.DOTALL)
_VIEW = re.compile(r"^CREATE VIEW \w+ AS\s", re.MULTILINE)

_TRIGGERS = """
SELECT tgname, relname, pg_get_triggerdef(t.oid, true) FROM pg_trigger t
JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal
"""
_VIEWS = "SELECT viewname FROM pg_views WHERE schemaname = current_schema()"


def files(folder: str) -> dict[str, str]:
    """The text of every file of `functions` or `views`, by the name of what it makes."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((_FOLDER / folder).glob("*.sql"))}


def make_function(conn: Connection[Any], text: str) -> None:
    """Make what a file of `functions` says, without its triggers. Functions call each other and read tables that may
    not be there yet: their bodies are looked at when they are called."""
    conn.execute("SET LOCAL check_function_bodies = off")
    conn.execute(_TRIGGER.sub("", text))


def triggers(text: str) -> set[str]:
    """The triggers of a file of `functions`, as PostgreSQL prints them."""
    return {" ".join(trigger.rstrip(";").split()) for trigger in _TRIGGER.findall(text)}


def take_down(conn: Connection[Any]) -> None:
    """Drop triggers and views, so that a revision finds tables alone."""
    for name, table, _ in conn.execute(_TRIGGERS).fetchall():
        conn.execute(SQL("DROP TRIGGER {} ON {}").format(Identifier(name), Identifier(table)))
    _drop_views(conn)


def put_up(conn: Connection[Any]) -> None:
    """Make every function, trigger and view what its file says. What is so already is not touched: making a trigger
    or a view waits for whoever reads or writes there, such as a backup, and lets everyone else wait behind it."""
    functions = files("functions")
    for text in functions.values():
        make_function(conn, text)
    _make_triggers(conn, set().union(*map(triggers, functions.values())))
    _make_views(conn, files("views"))


def _make_triggers(conn: Connection[Any], wanted: set[str]) -> None:
    made = conn.execute(_TRIGGERS).fetchall()
    for name, table, definition in made:
        if definition not in wanted:
            conn.execute(SQL("DROP TRIGGER {} ON {}").format(Identifier(name), Identifier(table)))
    for definition in sorted(wanted - {definition for _, _, definition in made}):
        conn.execute(definition.encode())


def _make_views(conn: Connection[Any], wanted: dict[str, str]) -> None:
    made = {name for (name,) in conn.execute(_VIEWS).fetchall()}
    if made == set(wanted) and all(_is_so(conn, name, text) for name, text in wanted.items()):
        return
    _drop_views(conn)
    uses = {
        name: {other for other in wanted if re.search(rf"\b{other}\b", _VIEW.sub("", text))}
        for name, text in wanted.items()
    }
    for name in TopologicalSorter(uses).static_order():
        conn.execute(wanted[name].encode())


def _is_so(conn: Connection[Any], name: str, text: str) -> bool:
    """Whether a view is what its file says: PostgreSQL prints both, so that they can be compared."""
    conn.execute(_VIEW.sub("CREATE VIEW as_filed AS ", text).encode())
    (same,) = conn.execute(
        "SELECT pg_get_viewdef('as_filed'::regclass) = pg_get_viewdef(%s::regclass)", [name]
    ).fetchone() or (False,)
    conn.execute("DROP VIEW as_filed")
    return bool(same)


def _drop_views(conn: Connection[Any]) -> None:
    if views := conn.execute(_VIEWS).fetchall():
        conn.execute(SQL("DROP VIEW {}").format(SQL(", ").join(Identifier(name) for (name,) in views)))
