"""Whether anything that defines a database was changed since it was loaded.

The rows of the catalogues themselves are hashed, as they stand: no log is trusted, and nothing has to be understood. A
table that was dropped and made again has another oid. The hashes mean something on the server that made them only; that
source and target define the same is compared once, when a load is proven (postgres_digest).

Every catalogue and every column is hashed but for those below, also those of a PostgreSQL that is still to come.
"""

from __future__ import annotations

import json
from hashlib import md5
from pathlib import Path

from ...account.accounts import Account
from ...host.kept import once
from ...host.system import read_json, write_durably
from .sql import kept, literal, query

LEFT_OUT = {
    "pg_authid": "roles are compared as facts, in every hold (postgres_restore.role_facts)",
    "pg_auth_members": "roles are compared as facts, in every hold (postgres_restore.role_facts)",
    "pg_database": "what a database is as a whole is compared in every hold (postgres_definition)",
    "pg_db_role_setting": "settings are compared in every hold (postgres_definition, postgres_restore.role_facts)",
    "pg_shdescription": "comments on databases and roles are compared in every hold (postgres_definition)",
    "pg_shdepend": "follows from owners, grants and policies",
    "pg_shseclabel": "security labels are not carried",
    "pg_tablespace": "the server's, not the account's",
    "pg_parameter_acl": "the server's, not the account's",
    "pg_replication_origin": "the server's, not the account's",
    "pg_subscription": "subscriptions are not carried, which is told",
    "pg_subscription_rel": "subscriptions are not carried, which is told",
    "pg_largeobject": "large objects are compared by what they hold",
    "pg_largeobject_metadata": "large objects are compared by what they hold",
    "pg_statistic": "the planner's numbers, gathered anew by each server",
    "pg_statistic_ext_data": "the planner's numbers, gathered anew by each server",
}
_FILE = "where rows are stored; a table whose file is another one is compared row by row (postgres_changes)"
_LAZY = "kept up lazily, also by VACUUM; follows from other catalogues"
_VACUUM = "written by VACUUM and ANALYZE"
NOT_HASHED = {
    "pg_class": {
        "relfilenode": _FILE,
        "reltoastrelid": "where rows are stored, which CLUSTER and VACUUM FULL change",
        "relpages": _VACUUM,
        "reltuples": _VACUUM,
        "relallvisible": _VACUUM,
        "relallfrozen": _VACUUM,
        "relfrozenxid": _VACUUM,
        "relminmxid": _VACUUM,
        "relhasindex": _LAZY,
        "relhasrules": _LAZY,
        "relhastriggers": _LAZY,
        "relhassubclass": _LAZY,
    },
    "pg_attribute": {
        "atthasmissing": "how rows are stored, which VACUUM FULL changes",
        "attmissingval": "how rows are stored, which VACUUM FULL changes",
    },
    "pg_index": {"indcheckxmin": "from when on an old snapshot may use it"},
}
# The object that a row is a part of, where that is another one than the row's own.
_PART_OF = {
    "pg_aggregate": "o.aggfnoid::oid",
    "pg_attrdef": "o.adrelid",
    "pg_attribute": "o.attrelid",
    "pg_constraint": "(CASE o.conrelid WHEN 0 THEN o.contypid ELSE o.conrelid END)",
    "pg_depend": "o.objid",
    "pg_description": "o.objoid",
    "pg_enum": "o.enumtypid",
    "pg_foreign_table": "o.ftrelid",
    "pg_index": "o.indexrelid",
    "pg_inherits": "o.inhrelid",
    "pg_init_privs": "o.objoid",
    "pg_partitioned_table": "o.partrelid",
    "pg_policy": "o.polrelid",
    "pg_publication_rel": "o.prrelid",
    "pg_range": "o.rngtypid",
    "pg_rewrite": "o.ev_class",
    "pg_seclabel": "o.objoid",
    "pg_sequence": "o.seqrelid",
    "pg_statistic_ext": "o.stxrelid",
    "pg_trigger": "o.tgrelid",
    "pg_ts_config_map": "o.mapcfg",
}
# Which rows are hashed, where not all that are a customer's.
_WHERE = {
    # A sequence's column, an extension's members; the rest follows from what the other catalogues say.
    "pg_depend": "(o.deptype IN ('e', 'x') OR o.refobjsubid > 0 AND o.classid = 'pg_class'::regclass AND EXISTS"
    " (SELECT FROM pg_class s WHERE s.oid = o.objid AND s.relkind = 'S'))",
    "pg_description": "o.classoid <> 'pg_largeobject'::regclass",
    "pg_seclabel": "o.classoid <> 'pg_largeobject'::regclass",
}
# What is said of an object elsewhere than in its own row: options of the table that holds its long values.
_MORE = {"pg_class": ", (SELECT t.reloptions FROM pg_class t WHERE t.oid = o.reltoastrelid)"}
# PostgreSQL's own objects count where they were granted to somebody; public is a customer's although it has an old oid.
_GRANTS = {"pg_attribute": "attacl", "pg_class": "relacl", "pg_language": "lanacl", "pg_proc": "proacl"}
_GRANTS |= {"pg_type": "typacl"}
_PUBLIC = 2200
_FIRST = 16384
# Temporary tables come and go with the sessions of an application.
_AWAY = """WITH away AS MATERIALIZED (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast$|temp_|toast_temp_)'),
 gone AS MATERIALIZED (SELECT oid FROM away UNION ALL SELECT oid FROM pg_class WHERE relnamespace IN (SELECT oid FROM
 away) UNION ALL SELECT oid FROM pg_type WHERE typnamespace IN (SELECT oid FROM away) UNION ALL SELECT oid FROM pg_proc
 WHERE pronamespace IN (SELECT oid FROM away))"""
COLUMNS = """SELECT json_build_array(c.relname, a.attname) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY c.relname COLLATE "C", a.attnum;
"""

Prints = dict[str, str]
"""A hash by "catalogue oid"."""


def hashed(columns: list[list[str]]) -> dict[str, list[str]]:
    """The columns of each catalogue that are hashed, of all that a server has."""
    chosen: dict[str, list[str]] = {}
    for catalogue, column in columns:
        if catalogue not in LEFT_OUT and column not in NOT_HASHED.get(catalogue, {}):
            chosen.setdefault(catalogue, []).append(column)
    return chosen


def rows(columns: list[list[str]]) -> str:
    """The beginning of a query: `objects` has a row (catalogue, oid, hash) for each object that a customer made."""
    parts = []
    for catalogue, names in hashed(columns).items():
        part_of = _PART_OF.get(catalogue, "o.oid")
        ours = f"({part_of} >= {_FIRST} OR {part_of} = {_PUBLIC}"
        ours += f" OR o.{_GRANTS[catalogue]} IS NOT NULL)" if catalogue in _GRANTS else ")"
        listed = ", ".join(f"o.{column}" for column in names) + _MORE.get(catalogue, "")
        # A row as text needs the output functions of the columns' types alone: no cast, no operator of a customer.
        parts.append(
            f"SELECT '{catalogue}' AS catalogue, {part_of}::int8 AS oid, md5(ROW({listed})::text) AS hash"
            f" FROM {catalogue} o WHERE {ours} AND {_WHERE.get(catalogue, 'true')}"
            f" AND {part_of} NOT IN (SELECT oid FROM gone)"
        )
    rows_of_each = " UNION ALL ".join(parts)
    return (
        f"{_AWAY}, each AS ({rows_of_each}), objects AS (SELECT catalogue, oid, md5(string_agg(hash, '' ORDER BY hash"
        ' COLLATE "C")) AS hash FROM each GROUP BY catalogue, oid)'
    )


@once
def _rows() -> str:
    return rows(kept().query(COLUMNS))


def of_database(name: str, snapshot: str | None = None) -> Prints:
    """The fingerprint of a database now, or as of an exported snapshot."""
    begin = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;\n"
    begin += f"SET TRANSACTION SNAPSHOT {literal(snapshot)};\n" if snapshot else ""
    asked = f"{_rows()} SELECT json_build_array(catalogue || ' ' || oid, hash) FROM objects;\n"
    return dict(query(f"{begin}{asked}COMMIT;\n", name))


def _path(account: Account, name: str) -> Path:
    oid = kept().query(f"SELECT oid::int8 FROM pg_database WHERE datname = {literal(name)};")[0]
    return account.directory / f"postgres.{oid}.fingerprint.json"


def keep(account: Account, name: str, prints: Prints) -> None:
    """What `changed` compares with from now on."""
    write_durably(_path(account, name), json.dumps(prints))


def kept_prints(account: Account, name: str) -> Prints | None:
    return read_json(_path(account, name))


def forget(account: Account, name: str) -> None:
    _path(account, name).unlink(missing_ok=True)


def changed(account: Account, name: str) -> list[str]:
    """The names of what was made, changed or dropped since (at most four); none when nothing was."""
    before = kept_prints(account, name) or {}
    # One number is all that has to be told as long as it is the same.
    now = kept(name).query(f"{_rows()} SELECT json_build_array(count(*), md5({_ALL})) FROM objects;\n")[0]
    if now == [len(before), _all(before)]:
        return []
    differing = before.items() ^ of_database(name).items()
    return _names(name, {int(key.split()[1]) for key, _ in differing}) or ["what is there no more"]


_ALL = "coalesce(string_agg(concat_ws(' ', catalogue, oid, hash), ',' ORDER BY catalogue COLLATE \"C\", oid), '')"


def _all(prints: Prints) -> str:
    keys = sorted(prints, key=lambda key: (key.split()[0], int(key.split()[1])))
    return md5(",".join(f"{key} {prints[key]}" for key in keys).encode()).hexdigest()


def _names(name: str, oids: set[int]) -> list[str]:
    listed = ", ".join(map(str, sorted(oids)[:1000]))
    return kept(name).query(
        "SELECT to_json(shown) FROM (SELECT DISTINCT shown FROM (SELECT oid, oid::regclass::text AS shown FROM"
        " pg_class WHERE relkind <>"
        " 'i' UNION ALL SELECT oid, oid::regprocedure::text FROM pg_proc UNION ALL SELECT oid, oid::regtype::text FROM"
        " pg_type WHERE typtype IN ('d', 'e', 'r') UNION ALL SELECT oid, nspname FROM pg_namespace) s"
        f" WHERE s.oid IN ({listed}) ORDER BY shown LIMIT 4) t;\n"
    )
