"""What following changes in a customer's database on the source, and how it is given back.

A publication; the REPLICA IDENTITY of tables without a key; and an event trigger: a table that loses its key would
refuse updates as long as it is published, so the trigger takes it out. That database is loaded again then.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import Refused
from ..followed import WhyNot
from . import locks, look
from .apply import NAME
from .sql import ident, kept, literal, literals, name_in_sql, query


class CannotFollow(Exception):
    """Why a database is to be dumped inside the hold: a sentence."""


class ChangedMeanwhile(Exception):
    """A database was changed while it was loaded: it is loaded again."""


OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_MADE = (
    "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = o.oid"
    " AND e.deptype = 'e')"
)
_RELATIONS = f"pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace WHERE {OURS} AND {_MADE}"
# What logical replication does not carry, or what the roles that carry it may not touch: sentences' beginnings.
_OBSTACLES = f"""SELECT json_build_array('an unlogged table', o.relname) FROM {_RELATIONS} AND o.relkind = 'r'
 AND o.relpersistence = 'u' LIMIT 1;
SELECT json_build_array('a trigger that runs on replicas', t.tgname) FROM pg_trigger t WHERE t.tgenabled IN ('A', 'R')
 AND NOT t.tgisinternal LIMIT 1;
SELECT json_build_array('a table that its owner may not write', o.relname) FROM {_RELATIONS} AND o.relkind = 'r' AND NOT
 (has_table_privilege(o.relowner, o.oid, 'SELECT') AND has_table_privilege(o.relowner, o.oid, 'INSERT') AND
 has_table_privilege(o.relowner, o.oid, 'UPDATE') AND has_table_privilege(o.relowner, o.oid, 'DELETE') AND
 has_table_privilege(o.relowner, o.oid, 'TRUNCATE') AND has_schema_privilege({{role}}, n.oid, 'USAGE')) LIMIT 1;
SELECT json_build_array('a materialized view that nobody may read', o.relname) FROM {_RELATIONS} AND o.relkind = 'm'
 AND NOT (has_table_privilege({{role}}, o.oid, 'SELECT') AND has_schema_privilege({{role}}, n.oid, 'USAGE')) LIMIT 1;
SELECT json_build_array('a sequence that nobody may read', o.relname) FROM {_RELATIONS} AND o.relkind = 'S'
 AND NOT (has_sequence_privilege({{role}}, o.oid, 'SELECT') AND has_schema_privilege({{role}}, n.oid, 'USAGE')) LIMIT 1;
"""


_REMEDIES = {
    "an unlogged table": "type ALTER TABLE {} SET LOGGED",
    "a trigger that runs on replicas": "type ALTER TABLE ... ENABLE TRIGGER {}",
    "a table that its owner may not write": "type GRANT ALL ON {} TO its owner",
    "a materialized view that nobody may read": "type GRANT SELECT ON {} TO its owner",
    "a sequence that nobody may read": "type GRANT SELECT ON {} TO its owner",
}
_SERVER = """SELECT json_build_array(current_setting('wal_level'), current_setting('max_replication_slots')::int -
 (SELECT count(*) FROM pg_replication_slots WHERE slot_name <> ALL({ours})));
"""
_ADMINISTRATOR = "let the administrator type ALTER SYSTEM SET {}, and restart PostgreSQL here"
SLOTS = 2
"""That following a database takes."""


def obstacle(account: Account, name: str, ours: Iterable[str] = ()) -> WhyNot | None:
    """Why a database cannot be followed, if so; `ours` are the slots that it has already."""
    level, slots = kept().query(_SERVER.format(ours=literals(ours)))[0]
    if level != "logical":
        return WhyNot("PostgreSQL here writes no log of rows", _ADMINISTRATOR.format("wal_level = logical"))
    if slots < SLOTS:
        remedy = _ADMINISTRATOR.format("max_replication_slots = 100")
        return WhyNot("PostgreSQL here has no replication slots left", remedy)
    if kept(name).query("SELECT 1 WHERE getdatabaseencoding() = 'SQL_ASCII';\n"):
        return WhyNot(
            "its encoding is SQL_ASCII, in which a row's key may be no text",
            "load its dump into a database that has an encoding",
        )
    look.make_reader(account)
    role = literal(look.reader_role(account)) + "::name"
    for kind, which in kept(name).query(_OBSTACLES.format(role=role)):
        return WhyNot(f"it has {kind} ({printable(which)})", _REMEDIES[kind].format(name_in_sql(which)))
    return None


# A table, and whether a row of it can be told by a key when it is updated or deleted.
_HAS_KEY = (
    "o.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = o.oid AND i.indisvalid"
    " AND i.indimmediate AND (o.relreplident = 'd' AND i.indisprimary OR o.relreplident = 'i' AND i.indisreplident))"
)
TABLES = f"""SELECT json_build_array(o.oid::int8, n.nspname, o.relname, o.relreplident, {_HAS_KEY})
 FROM {_RELATIONS} AND o.relkind = 'r' AND o.relpersistence = 'p' ORDER BY 1::text;
"""

# Each table that is followed, and the file that its rows are in.
FILES = f"""SELECT json_build_array(o.oid::int8, n.nspname, o.relname, o.relfilenode::int8) FROM {_RELATIONS}
 AND o.relkind = 'r' AND o.relpersistence = 'p';
"""
# A table that is not published, as of a snapshot: it was made, or lost its key, a moment ago.
_UNPUBLISHED = f"""SELECT 1 FROM {_RELATIONS} AND o.relkind = 'r' AND o.relpersistence = 'p' AND NOT EXISTS (SELECT FROM
 pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = '{NAME}' AND r.prrelid = o.oid)
 LIMIT 1;
"""


def published(name: str, snapshot: str) -> dict[str, int]:
    """The file of each table (by oid, as text) as of a snapshot, when all of them are published."""
    at = (
        f"BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;\nSET TRANSACTION SNAPSHOT {literal(snapshot)};\n"
    )
    if query(f"{at}{_UNPUBLISHED}", name):
        raise ChangedMeanwhile
    return {str(oid): file for oid, _, _, file in query(f"{at}{FILES}", name)}


def bare(name: str) -> dict[str, str]:
    """The tables (by oid, as text) whose rows no key tells, and their replica identity."""
    identities = {str(oid): identity for oid, _, _, identity, key in kept(name).query(TABLES) if not key}
    if "i" in identities.values():
        raise CannotFollow("a table of it has lost the index that was its replica identity")
    return identities


# A customer's function cannot be called by its name here, and what it is called for is no business of the customer's
# statement: it neither fails for it nor knows of it.
_GUARD = f"""CREATE SCHEMA {NAME};
CREATE FUNCTION {NAME}.let_go() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
 SET search_path = pg_catalog, pg_temp AS $let_go$
DECLARE
  one regclass;
BEGIN
  FOR one IN SELECT o.oid FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class o
    ON o.oid = r.prrelid WHERE p.pubname = '{NAME}' AND NOT ({_HAS_KEY})
  LOOP
    EXECUTE format('ALTER PUBLICATION {NAME} DROP TABLE ONLY %s', one);
  END LOOP;
EXCEPTION WHEN OTHERS THEN
  NULL;
END $let_go$;
CREATE EVENT TRIGGER {NAME} ON ddl_command_end EXECUTE FUNCTION {NAME}.let_go()"""


def publish(name: str, bare: dict[str, str]) -> None:
    """A publication of the tables that exist now: one of tables to come would refuse updates of those without a key."""
    for kind, column, catalogue in (
        ("schema", "nspname", "pg_namespace"),
        ("publication", "pubname", "pg_publication"),
    ):
        if kept(name).query(f"SELECT 1 FROM {catalogue} WHERE {column} = '{NAME}';\n"):
            raise CannotFollow(f"it has a {kind} {NAME} of its own, which is the agent's name: rename it")
    tables = kept(name).query(TABLES)
    for oid, schema, table, _, _ in tables:
        if str(oid) in bare:
            _patiently(name, f"ALTER TABLE ONLY {ident(schema)}.{ident(table)} REPLICA IDENTITY FULL")
    _patiently(name, f"CREATE PUBLICATION {NAME};\n{_GUARD}")
    named = [f"ONLY {ident(schema)}.{ident(table)}" for _, schema, table, _, _ in tables]
    for start in range(0, len(named), locks.MOST):
        batch = ", ".join(named[start : start + locks.MOST])
        _patiently(name, f"ALTER PUBLICATION {NAME} ADD TABLE {batch}")


def withdraw(name: str) -> None:
    """The publication and its event trigger are gone."""
    ours = (
        f"SELECT to_json('SCHEMA {NAME} CASCADE'::text) FROM pg_namespace WHERE nspname = '{NAME}' AND nspowner = 10;\n"
        f"SELECT to_json('PUBLICATION {NAME}'::text) FROM pg_publication WHERE pubname = '{NAME}' AND pubowner = 10;\n"
    )
    drops = [f"DROP {item};\n" for item in kept(name).query(ours)]
    query(f"DROP EVENT TRIGGER IF EXISTS {NAME};\n{''.join(drops)}", name)


def _patiently(name: str, statement: str) -> None:
    """Run a statement that takes a lock, without making the customer's statements queue behind it for long."""
    for attempt in range(20):
        try:
            most = min(1000, 100 + 50 * attempt)
            query(f"BEGIN; SET LOCAL lock_timeout = {most}; {statement}; COMMIT;\n", name)
            return
        except Refused as error:
            if "lock timeout" not in error.message:
                raise
            time.sleep(0.1 * attempt)
    raise CannotFollow("a table of it is locked all the time")


def give_back(name: str, oid: int, identity: str) -> None:
    """A table has the replica identity again that the customer gave it; one that was changed since stays."""
    rows = query(
        f"SELECT json_build_array(n.nspname, o.relname) FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace"
        f" WHERE o.oid = {oid} AND o.relkind = 'r' AND o.relreplident = 'f';\n",
        name,
    )
    for schema, table in rows:
        word = {"n": "NOTHING"}.get(identity, "DEFAULT")
        _patiently(name, f"ALTER TABLE ONLY {ident(schema)}.{ident(table)} REPLICA IDENTITY {word}")
