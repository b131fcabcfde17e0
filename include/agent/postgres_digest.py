"""What a PostgreSQL database holds, as a digest that is the same on every version from 15 on.

Rows are hashed as the text that COPY puts out (output functions alone, no casts or operators of a customer) and the
hashes are added up, so the order does not matter. Generated columns follow from the others and are left out.
Objects are described by their catalogue facts and not by their source text, which is deparsed differently from version
to version, and after a dump and restore.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import Any

from .digest import printable
from .files_sandbox import python_argv
from .postgres_grants import TRAVELS
from .postgres_sql import AS_POSTGRES, ENVIRONMENT, conninfo, ident, literal, literals, query
from .system import refuse

_ROLES = "?roles?"  # where the roles of the account come
_NO_EXTENSION = (
    "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{catalog}'::regclass AND e.objid = {alias}.oid"
    " AND e.deptype = 'e')"
)
_NAME = "(pg_identify_object('{catalog}'::regclass, {alias}.oid, 0)).identity"


def _acl(acl: str, kind: str, owner: str) -> str:
    """Privileges as sorted text; MAINTAIN is left out, as 15 does not know it and 17 counts it into ALL."""
    return (
        "(SELECT json_agg(a.x ORDER BY a.x COLLATE \"C\") FROM (SELECT concat_ws(' ', CASE grantee WHEN 0 THEN 'PUBLIC'"
        " ELSE pg_get_userbyid(grantee)::text END, privilege_type, CASE WHEN is_grantable THEN 'grantable' END) AS x"
        f" FROM aclexplode(coalesce({acl}, acldefault({kind}, {owner}))) WHERE privilege_type <> 'MAINTAIN'"
        f" AND {TRAVELS.format('grantee', roles=_ROLES)} AND {TRAVELS.format('grantor', roles=_ROLES)}) a)"
    )


def _objects(kind: str, catalog: str, facts: str, *, where: str = "true", name: str = "", more: str = "") -> str:
    """A query that puts out ["object", kind, identity, facts] for each object of a catalogue that is a customer's."""
    identity = name or _NAME.format(catalog=catalog, alias="o")
    ours = _NO_EXTENSION.format(catalog=catalog, alias="o")
    return (
        f"SELECT json_build_array('object', '{kind}', {identity}, json_build_object({facts}))"
        f" FROM {catalog} o {more} WHERE ({where}) AND {ours};\n"
    )


def _comment(catalog: str, sub: str = "") -> str:
    call = f"col_description(o.oid, {sub})" if sub else f"obj_description(o.oid, '{catalog}')"
    return f"'comment', md5({call})"


_OWNER = "'owner', pg_get_userbyid(o.{0})"
USER_SCHEMA = (
    "{0} NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema', 'pg_toast')"
)
USER_SCHEMA += " OR (nspname = 'th_follow' AND nspowner = 10)"  # ours, while a database is followed
USER_SCHEMA += " OR nspname LIKE 'pg\\_temp\\_%' OR nspname LIKE 'pg\\_toast\\_temp\\_%')"

# PostgreSQL 17 gives a partition its parent's identity, 15 does not: it is compared on the parent.
_COLUMNS = (
    "'columns', (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,"
    " CASE WHEN o.relispartition THEN '' ELSE a.attidentity END, a.attgenerated, a.atthasdef,"
    " (SELECT c.collname FROM pg_collation c WHERE c.oid = a.attcollation),"
    " a.attstorage, md5(col_description(o.oid, a.attnum)), "
    + _acl("a.attacl", "'c'", "o.relowner")
    + ") ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped)"
)
_KEYS = (
    "(SELECT json_agg((SELECT a.attname FROM pg_attribute a WHERE a.attrelid = {0} AND a.attnum = k.n) ORDER BY k.i)"
    " FROM unnest({1}) WITH ORDINALITY k(n, i))"
)


def inventory(identities: dict[int, str], roles: Sequence[str] = ()) -> str:
    """A script that puts out ["object", kind, identity, facts] for everything that a customer made in a database.

    `identities` are tables (by oid) whose REPLICA IDENTITY is another one while they are followed. Grants to and of
    others than these `roles`, or what every server has, do not travel and do not count."""
    cases = "".join(f" WHEN {int(oid)} THEN {literal(identity)}" for oid, identity in identities.items())
    replica_identity = f"(CASE o.oid{cases} ELSE o.relreplident::text END)" if cases else "o.relreplident"
    user = USER_SCHEMA.format
    relation = "(SELECT (pg_identify_object('pg_class'::regclass, o.{0}, 0)).identity)"
    on = relation.format
    parts = [
        _objects(
            "schema",
            "pg_namespace",
            f"{_OWNER.format('nspowner')}, 'grants', {_acl('o.nspacl', chr(39) + 'n' + chr(39), 'o.nspowner')}, "
            + _comment("pg_namespace"),
            where="o.nspname !~ '^pg_' AND o.nspname <> 'information_schema' AND NOT (o.nspname = 'th_follow' AND"
            " o.nspowner = 10)",
        ),
        "SELECT json_build_array('object', 'extension', extname, json_build_object('schema',"
        " extnamespace::regnamespace::text)) FROM pg_extension;\n",
        _objects(
            "relation",
            "pg_class",
            f"'kind', o.relkind, {_OWNER.format('relowner')}, 'persistence', o.relpersistence, 'options', o.reloptions,"
            f" 'row security', ARRAY[o.relrowsecurity, o.relforcerowsecurity], 'replica identity', {replica_identity},"
            " 'populated', o.relispopulated, 'parents', (SELECT json_agg((pg_identify_object('pg_class'::regclass,"
            " i.inhparent, 0)).identity ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = o.oid), 'grants', "
            + _acl("o.relacl", "(CASE o.relkind WHEN 'S' THEN 's' ELSE 'r' END)::\"char\"", "o.relowner")
            + f", {_COLUMNS}, {_comment('pg_class')}",
            where=f"o.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND {user('o.relnamespace')}",
        ),
        _objects(
            "index",
            "pg_class",
            f"'on', {on('oid').replace('o.oid', 'i.indrelid')}, 'flags', ARRAY[i.indisunique, i.indisprimary,"
            " i.indisexclusion, i.indisclustered, i.indisreplident, i.indnullsnotdistinct], 'keys', "
            + _KEYS.format("i.indrelid", "i.indkey::int2[]")
            + ", 'key columns', i.indnkeyatts, 'method', (SELECT amname FROM pg_am WHERE pg_am.oid = o.relam),"
            " 'partial', i.indpred IS NOT NULL, 'expressions', i.indexprs IS NOT NULL, 'order', i.indoption::int2[],"
            " 'classes', (SELECT json_agg(c.opcname ORDER BY k.i) FROM unnest(i.indclass::oid[]) WITH ORDINALITY"
            " k(n, i) JOIN pg_opclass c ON c.oid = k.n), 'collations', (SELECT json_agg(c.collname ORDER BY k.i) FROM"
            " unnest(i.indcollation::oid[]) WITH ORDINALITY k(n, i) LEFT JOIN pg_collation c ON c.oid = k.n), "
            + _comment("pg_class"),
            more="JOIN pg_index i ON i.indexrelid = o.oid",
            where=f"(i.indisvalid OR o.relkind = 'I') AND {user('o.relnamespace')}",
        ),
        _objects(
            "constraint",
            "pg_constraint",
            "'type', o.contype, 'validated', o.convalidated, 'deferrable', ARRAY[o.condeferrable, o.condeferred],"
            f" 'keys', {_KEYS.format('o.conrelid', 'o.conkey')}, 'references', {on('confrelid')}, 'foreign keys', "
            + _KEYS.format("o.confrelid", "o.confkey")
            + ", 'actions', ARRAY[o.confupdtype, o.confdeltype, o.confmatchtype], 'local', o.conislocal, "
            + _comment("pg_constraint"),
            where=f"o.contype IN ('c', 'f', 'p', 'u', 'x') AND {user('o.connamespace')}",
        ),
        _objects(
            "trigger",
            "pg_trigger",
            "'calls', (pg_identify_object('pg_proc'::regclass, o.tgfoid, 0)).identity, 'enabled', o.tgenabled, 'type',"
            " o.tgtype, 'deferrable', ARRAY[o.tgdeferrable, o.tginitdeferred], 'arguments', md5(o.tgargs), "
            + _comment("pg_trigger"),
            where="NOT o.tgisinternal",
        ),
        _objects(
            "function",
            "pg_proc",
            f"{_OWNER.format('proowner')}, 'language', (SELECT lanname FROM pg_language l WHERE l.oid = o.prolang),"
            " 'returns', format_type(o.prorettype, NULL), 'set', o.proretset, 'kind', o.prokind, 'volatile',"
            " o.provolatile, 'parallel', o.proparallel, 'flags', ARRAY[o.prosecdef, o.proleakproof, o.proisstrict],"
            " 'settings', o.proconfig, 'text', md5(o.prosrc), 'names', o.proargnames, 'defaults', o.pronargdefaults,"
            " 'body', o.prosqlbody IS NOT NULL, 'grants', "
            + _acl("o.proacl", "'f'", "o.proowner")
            + f", {_comment('pg_proc')}",
            where=user("o.pronamespace"),
        ),
        _objects(
            "type",
            "pg_type",
            f"{_OWNER.format('typowner')}, 'type', o.typtype, 'labels', (SELECT json_agg(e.enumlabel ORDER BY"
            " e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = o.oid), 'base', CASE WHEN o.typtype = 'd' THEN"
            " format_type(o.typbasetype, o.typtypmod) END, 'not null', o.typnotnull, 'default', o.typdefault IS NOT"
            f" NULL, 'grants', {_acl('o.typacl', chr(39) + 'T' + chr(39), 'o.typowner')}, {_comment('pg_type')}",
            where=f"o.typtype IN ('e', 'd', 'r', 'm', 'b') AND o.typelem = 0 AND {user('o.typnamespace')}",
        ),
        _objects(
            "policy",
            "pg_policy",
            "'command', o.polcmd, 'permissive', o.polpermissive, 'roles', (SELECT json_agg(pg_get_userbyid(r) ORDER BY"
            " pg_get_userbyid(r)) FROM unnest(o.polroles) r), 'checks', ARRAY[o.polqual IS NOT NULL, o.polwithcheck IS"
            " NOT NULL]",
        ),
        _objects(
            "rule",
            "pg_rewrite",
            "'event', o.ev_type, 'enabled', o.ev_enabled, 'instead', o.is_instead",
            where="o.rulename <> '_RETURN' AND o.oid >= 16384",
        ),
        "SELECT json_build_array('object', 'default privileges', concat_ws(' ', pg_get_userbyid(defaclrole),"
        " coalesce(defaclnamespace::regnamespace::text, '-'), defaclobjtype), "
        + _acl("defaclacl", "defaclobjtype", "defaclrole")
        + f") FROM pg_default_acl WHERE defaclacl IS NOT NULL AND defaclrole >= 16384"
        f" AND {TRAVELS.format('defaclrole', roles=_ROLES)};\n",
    ]
    for kind, catalog, owner in (
        ("operator", "pg_operator", "oprowner"),
        ("operator class", "pg_opclass", "opcowner"),
        ("operator family", "pg_opfamily", "opfowner"),
        ("conversion", "pg_conversion", "conowner"),
        ("collation", "pg_collation", "collowner"),
        ("text search configuration", "pg_ts_config", "cfgowner"),
        ("text search dictionary", "pg_ts_dict", "dictowner"),
        ("statistics", "pg_statistic_ext", "stxowner"),
        ("language", "pg_language", "lanowner"),
        ("foreign server", "pg_foreign_server", "srvowner"),
    ):
        facts = f"{_OWNER.format(owner)}, {_comment(catalog)}"
        parts.append(_objects(kind, catalog, facts, where="o.oid >= 16384"))
    parts.append(
        _objects("cast", "pg_cast", "'context', o.castcontext, 'method', o.castmethod", where="o.oid >= 16384")
    )
    return of_roles("".join(parts), roles)


def of_roles(script: str, roles: Sequence[str]) -> str:
    """The script, in which grants to these roles count."""
    return script.replace(_ROLES, literals(roles))


# Leaf partitions are plain tables; their parents hold nothing. Foreign tables are somebody else's data, and
# materialized views are computed again on the target.
TABLES = (
    "SELECT json_build_array('table', n.nspname, o.relname) FROM pg_class o JOIN pg_namespace n ON n.oid ="
    " o.relnamespace WHERE o.relkind = 'r' AND o.relpersistence <> 't' AND "
    + USER_SCHEMA.format("o.relnamespace")
    + " AND ("
    + _NO_EXTENSION.format(catalog="pg_class", alias="o")
    + " OR o.oid IN (SELECT unnest(extconfig) FROM pg_extension)) ORDER BY n.nspname, o.relname;\n"
)
# What a sequence was set to and has not yet given out does not show here; its parameters do.
_SEQUENCES = (
    "SELECT json_build_array('sequence', format('%I.%I', n.nspname, o.relname), pg_sequence_last_value(o.oid),"
    " concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle,"
    " (SELECT (pg_identify_object('pg_class'::regclass, d.refobjid, d.refobjsubid)).identity FROM pg_depend d WHERE"
    " d.classid = 'pg_class'::regclass AND d.objid = o.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)))"
    " FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace JOIN pg_sequence s ON s.seqrelid = o.oid"
    " WHERE o.relpersistence <> 't';\n"
)
# A large object may have holes, which come out of a restore as zeros: pages are hashed without their trailing zeros.
_LARGE_OBJECT = (
    "SELECT o.oid, size, hashtextextended(concat_ws(' ', o.oid, pg_get_userbyid(o.lomowner), size, pages, "
    + _acl("o.lomacl", "'L'", "o.lomowner")
    + "::text, obj_description(o.oid, 'pg_largeobject')), 0) AS hash FROM pg_largeobject_metadata o LEFT JOIN LATERAL"
    " (SELECT max(pageno::int8 * 2048 + octet_length(data)) AS size, sum(CASE WHEN octet_length(rtrim(data, '\\x00'))"
    " > 0 THEN hashtextextended(concat(pageno, ' ', encode(rtrim(data, '\\x00'), 'hex')), 0) ELSE 0 END) AS pages"
    " FROM pg_largeobject p WHERE p.loid = o.oid) x ON true"
)
_LARGE_OBJECTS = (
    "SELECT json_build_array('large objects', count(*), coalesce(sum(size), 0), coalesce(sum(hash), 0))"
    f" FROM ({_LARGE_OBJECT}) o;\n"
)
EACH_LARGE_OBJECT = f"SELECT json_build_array(oid::text, hash) FROM ({_LARGE_OBJECT}) o;\n"


def of_database(
    database: str,
    snapshot: str | None = None,
    identities: dict[int, str] | None = None,
    known: dict[str, Any] | None = None,
    roles: Sequence[str] = (),
) -> dict[str, Any]:
    """{"tables": {name: [rows, sum]}, "sequences", "large objects", "objects": {kind: {identity: facts}}}.

    As of now, or of an exported snapshot; tables that are `known` are not read."""
    objects = of_roles(_LARGE_OBJECTS, roles) + inventory(identities or {}, roles)
    script = _BEGIN + _at(snapshot) + TABLES + _SEQUENCES + objects + "COMMIT;\n"
    result: dict[str, Any] = {"sequences": {}, "objects": {}, "tables": dict(known or {})}
    tables = []
    for kind, *rest in query(script, database):
        if kind == "table" and shown(*rest) not in result["tables"]:
            tables.append((rest[0], rest[1]))
        elif kind == "sequence":
            result["sequences"][rest[0]] = rest[1:]
        elif kind == "object":
            result["objects"].setdefault(rest[0], {})[rest[1]] = rest[2]
        elif kind == "large objects":
            result[kind] = rest
    result["tables"] |= of_tables(database, tables, snapshot)
    return result


_BEGIN = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;\n"


def _at(snapshot: str | None) -> str:
    return f"SET TRANSACTION SNAPSHOT {literal(snapshot)};\n" if snapshot else ""


def of_tables(database: str, tables: list[tuple[str, str]], snapshot: str | None = None) -> dict[str, list[int]]:
    """{table: [rows, sum]} of these tables, (schema, name) each."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        shares = [tables[start :: os.cpu_count() or 1] for start in range(os.cpu_count() or 1)]
        parts = pool.map(lambda share: _contents(database, share, snapshot), shares)
        return {name: count for part in parts for name, count in part.items()}


def _contents(database: str, tables: list[tuple[str, str]], snapshot: str | None) -> dict[str, list[int]]:
    if not tables:
        return {}
    request = json.dumps([database, tables, snapshot]).encode()
    done = subprocess.run(python_argv("postgres_digest"), input=request, capture_output=True)
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "backslashreplace").strip().splitlines()[-1:] or ["no message"]
        refuse("postgresql_failed", f"The tables of {printable(database)} cannot be read: {printable(last[0])}")
    return json.loads(done.stdout)


def main(arguments: list[str]) -> None:
    """stdin: [database, [[schema, table]], snapshot]; stdout: {"schema.table": [rows, sum of the rows' hashes]}.

    The rows come by COPY, as pg_dump reads them. A SELECT would have to be planned, and a plan works out constant
    parts of a table's index predicates: functions of the customer, which would run as the superuser."""
    database, tables, snapshot = json.load(sys.stdin)
    token = secrets.token_hex(16)  # ends a table's rows; nobody can have put it into a row
    script = _BEGIN + _at(snapshot)
    for schema, table in tables:
        script += f"COPY {ident(schema)}.{ident(table)} TO STDOUT;\n\\echo {token}\n"
    argv = [*AS_POSTGRES, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", conninfo(database)]
    with tempfile.TemporaryFile() as commands:
        commands.write(script.encode("ascii"))
        commands.seek(0)
        process = subprocess.Popen(argv, stdin=commands, stdout=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stdout is not None
    found: dict[str, list[int]] = {}
    names = iter(shown(schema, table) for schema, table in tables)
    end, rows, total, rest = token.encode(), 0, 0, b""
    while block := process.stdout.read(1 << 20):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        while end in lines:
            at = lines.index(end)
            count, amount = _add(lines[:at])
            found[next(names)] = [rows + count, (total + amount) % _MODULUS]
            rows, total, lines = 0, 0, lines[at + 1 :]
        count, amount = _add(lines)
        rows, total = rows + count, total + amount
    if process.wait() != 0 or len(found) != len(tables):
        sys.exit(f"psql ended with {process.returncode}")
    json.dump(found, sys.stdout)


_MODULUS = 1 << 64


def shown(schema: str, table: str) -> str:
    """The name that a table has in digests."""
    return f"{_shown(schema)}.{_shown(table)}"


def _shown(name: str) -> str:
    return name if re.fullmatch("[a-z0-9_]+", name) else '"' + name.replace('"', '""') + '"'


def _add(lines: list[bytes]) -> tuple[int, int]:
    """How many rows, and the sum of their hashes, which is the same in any order."""
    hashes = b"".join([blake2b(line, digest_size=8).digest() for line in lines])
    return len(lines), sum(struct.unpack(f"<{len(lines)}Q", hashes))
