"""What a MariaDB database holds, as a digest that is the same on every version from 10.11 on.

A row is hashed over an unambiguous encoding of its columns and the hashes are added up, so the order does not matter.
Objects are described by their facts; views by the names of their columns, as each version prints their text
differently.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...host.digest import printable
from ...host.system import refuse
from . import printed
from .sql import Login, ident, literal, queries, query, select

# Tables of these engines are files or servers elsewhere: reading them reaches out of the database.
OUTSIDE_ENGINES = ("FEDERATED", "CONNECT", "SPIDER", "S3", "OQGRAPH", "SPHINX", "COLUMNSTORE")
_LONG = {"tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob", "json"}
GEOMETRY = {"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"}
GEOMETRY |= {"geometrycollection"}
# What a system-versioned table knows of each version of a row: from when until when it was the row.
ROW_START, ROW_END = "ROW START", "ROW END"
_HIDDEN = [("row_start", "timestamp", ROW_START), ("row_end", "timestamp", ROW_END)]
EXTRA = f"IF(GENERATION_EXPRESSION IN ('{ROW_START}', '{ROW_END}'), GENERATION_EXPRESSION, EXTRA)"
"""The column of information_schema.COLUMNS that says which columns those are, where they have names."""


def tables_of(database: str) -> dict[str, dict[str, str]]:
    """{name: {"kind": "BASE TABLE"|"SEQUENCE"|"SYSTEM VERSIONED", "engine"}}; refuses tables that lie elsewhere."""
    rows = query(
        ["TABLE_NAME", "TABLE_TYPE", "ENGINE"],
        f"FROM information_schema.TABLES WHERE TABLE_SCHEMA = {literal(database)} AND TABLE_TYPE <> 'VIEW'",
    )
    tables = {str(name): {"kind": str(kind), "engine": str(engine or "")} for name, kind, engine in rows}
    for name, table in tables.items():
        if table["engine"].upper() in OUTSIDE_ENGINES or not table["engine"]:
            refuse(
                "engine_blocked",
                f"The table {printable(name)} of database {printable(database)} has the engine "
                f"{table['engine'] or '(none: it is damaged)'}, whose data is not in the database; convert or drop it.",
            )
    return tables


def columns_of(database: str, tables: dict[str, dict[str, str]]) -> dict[str, list[tuple[str, str, str]]]:
    """{table: [(column, data type, extra)]}, all columns but the virtual ones, in their order; of a system-versioned
    table also those that nobody has named."""
    rows = query(
        ["TABLE_NAME", "COLUMN_NAME", "DATA_TYPE", EXTRA],
        f"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {literal(database)} AND EXTRA NOT LIKE '%VIRTUAL%'"
        " ORDER BY TABLE_NAME, ORDINAL_POSITION",
    )
    columns: dict[str, list[tuple[str, str, str]]] = {}
    for table, column, kind, extra in rows:
        columns.setdefault(str(table), []).append((str(column), str(kind).lower(), str(extra)))
    for name, listed in columns.items():
        if tables.get(name, {}).get("kind") == "SYSTEM VERSIONED":
            listed += hidden(listed)
    return columns


def hidden(named: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The columns of a system-versioned table that are not among these, as nobody has named them."""
    return [] if any(extra == ROW_END for *_, extra in named) else _HIDDEN


def rows_of(database: str, table: str, extras: Iterable[str]) -> str:
    """The FROM clause of a table with columns of these kinds: of a system-versioned one, all versions of its rows."""
    return f"FROM {ident(database)}.{ident(table)}" + (" FOR SYSTEM_TIME ALL" if ROW_END in extras else "")


def is_now(column: str) -> str:
    """Whether a ROW END says that nothing has followed yet: how long a time lasts is each version's own affair."""
    return f"UNIX_TIMESTAMP({ident(column)}) >= 2147483647"


def _coded(column: str, kind: str, extra: str) -> str:
    name = ident(column)
    if extra == ROW_END:
        return f"IF({is_now(column)}, 'now', QUOTE(CAST({name} AS BINARY)))"
    if kind in _LONG or kind in GEOMETRY:
        return f"IFNULL(MD5({name}), 'NULL')"
    if kind == "float":
        # As text a FLOAT has 6 digits; as a DOUBLE every bit of it shows.
        return f"IFNULL(CAST({name} AS DOUBLE), 'NULL')"
    if kind == "bit":
        return f"IFNULL({name} + 0, 'NULL')"
    if kind in ("inet4", "inet6", "uuid"):
        return f"QUOTE(CAST({name} AS CHAR))"
    return f"QUOTE(CAST({name} AS BINARY))"


def content(database: str, table: str, columns: list[tuple[str, str, str]], where: str = "") -> str:
    """A SELECT of a table's name, its number of rows and a sum over what is in them."""
    parts = ", ".join(_coded(*column) for column in columns) or "''"
    extras = [extra for *_, extra in columns]
    row = f"CONV(LEFT(MD5(CONCAT_WS(',', {parts})), 16), 16, 10)"
    return select(
        [literal(table), "COUNT(*)", "IFNULL(SUM(h), 0)"],
        f"FROM (SELECT CAST({row} AS UNSIGNED) AS h {rows_of(database, table, extras)}{where}) AS x",
    )


def of_database(database: str, reader: Login) -> dict[str, Any]:
    """Rows are read as `reader`, who may read this account's databases and nothing else: what is a table now may be a
    view a moment later.

    {"tables": {name: [rows, sum]}, "sequences", "objects": {kind: {identity: facts}}}."""
    tables = tables_of(database)
    columns = columns_of(database, tables)
    plain = [name for name, table in tables.items() if table["kind"] != "SEQUENCE" and name in columns]
    sequences = [name for name, table in tables.items() if table["kind"] == "SEQUENCE"]
    statements = [content(database, name, columns[name]) for name in plain]
    statements += [sequence(database, name) for name in sequences]
    results = queries(statements, login=reader, purpose=printable(database))
    contents = {str(rows[0][0]): rows[0][1:] for rows in results}
    return {
        "tables": {name: [int(contents[name][0] or 0), contents[name][1]] for name in plain},
        "sequences": {name: contents[name] for name in sequences},
        "objects": facts(database),
    }


def facts(database: str) -> dict[str, dict[str, Any]]:
    """{kind: {name: facts}} of a database's tables, columns, keys, routines...; its "numbering" changes with rows."""
    objects: dict[str, dict[str, Any]] = {}
    kinds = list(_FACTS)
    answers = queries([select(_FACTS[kind][0], _FACTS[kind][1].format(literal(database))) for kind in kinds])
    views = {row[0] for row in answers[kinds.index("view")]}
    for kind, rows in zip(kinds, answers, strict=True):
        for name, *fact in rows:
            if kind == "column":
                fact = _column(fact, name in views)
            if kind == "table":
                fact[-1] = printed.options(fact[-1])
            objects.setdefault(kind, {}).setdefault(str(name), []).append(fact)
    return objects


def _column(fact: list[str | None], of_view: bool) -> list[Any]:
    """A column as every version would print it. Of a view's, which follow from what it reads, the name only."""
    name, kind, nullable, default, extra, collation, *rest, data_type = fact
    if of_view:
        return [name]
    binary = collation == "binary" or data_type in _BINARY
    return [name, printed.column_type(kind), nullable, printed.default(default, binary), extra] + [
        collation,
        *rest,
    ]


_BINARY = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}


def sequence(database: str, name: str) -> str:
    """A SELECT of where a sequence stands, and of what it is."""
    return select(
        [literal(name), "next_not_cached_value", "minimum_value", "maximum_value", "`increment`", "cycle_option"]
        + ["start_value", "cache_size"],
        f"FROM {ident(database)}.{ident(name)}",
    )


# The form in which times are kept is the server's affair: a new table's are in the newer one.
_TYPE = "REGEXP_REPLACE(COLUMN_TYPE, ' /\\\\* m(ariadb|ysql)-[0-9.]+ \\\\*/', '')"
_FACTS: dict[str, tuple[list[str], str]] = {
    "database": (
        ["'database'", "DEFAULT_COLLATION_NAME", "SCHEMA_COMMENT"],
        "FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
    ),
    "table": (
        ["TABLE_NAME", "TABLE_TYPE", "ENGINE", "TABLE_COLLATION", "MD5(TABLE_COMMENT)", "CREATE_OPTIONS"],
        "FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME",
    ),
    "numbering": (
        ["TABLE_NAME", "AUTO_INCREMENT"],
        "FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND AUTO_INCREMENT IS NOT NULL ORDER BY TABLE_NAME",
    ),
    "column": (
        ["TABLE_NAME", "COLUMN_NAME", _TYPE, "IS_NULLABLE", "COLUMN_DEFAULT", "EXTRA", "COLLATION_NAME"]
        + ["MD5(COLUMN_COMMENT)", "IS_GENERATED", "GENERATION_EXPRESSION", "DATA_TYPE"],
        "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME, ORDINAL_POSITION",
    ),
    "index": (
        ["TABLE_NAME", "INDEX_NAME", "COLUMN_NAME", "NON_UNIQUE", "SUB_PART", "INDEX_TYPE", "COLLATION"]
        + ["INDEX_COMMENT", "IGNORED"],
        "FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
    ),
    "constraint": (
        ["TABLE_NAME", "CONSTRAINT_NAME", "CONSTRAINT_TYPE"],
        "FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = {}"
        " ORDER BY TABLE_NAME, CONSTRAINT_NAME, CONSTRAINT_TYPE",
    ),
    "foreign key": (
        ["TABLE_NAME", "CONSTRAINT_NAME", "COLUMN_NAME", "REFERENCED_TABLE_NAME", "REFERENCED_COLUMN_NAME"],
        "FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = {} AND REFERENCED_TABLE_NAME IS NOT NULL"
        " ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION",
    ),
    "foreign key's rule": (
        ["TABLE_NAME", "CONSTRAINT_NAME", "MATCH_OPTION", "UPDATE_RULE", "DELETE_RULE"],
        "FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = {}"
        " ORDER BY TABLE_NAME, CONSTRAINT_NAME",
    ),
    "check": (
        ["TABLE_NAME", "CONSTRAINT_NAME", "LEVEL", "CHECK_CLAUSE"],
        "FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = {}"
        " ORDER BY TABLE_NAME, CONSTRAINT_NAME, LEVEL",
    ),
    "partition": (
        ["TABLE_NAME", "PARTITION_NAME", "SUBPARTITION_NAME", "PARTITION_METHOD", "PARTITION_EXPRESSION"]
        + ["SUBPARTITION_METHOD", "SUBPARTITION_EXPRESSION", "PARTITION_DESCRIPTION", "PARTITION_COMMENT"],
        "FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = {} AND PARTITION_NAME IS NOT NULL"
        " ORDER BY TABLE_NAME, PARTITION_ORDINAL_POSITION, SUBPARTITION_ORDINAL_POSITION",
    ),
    "view": (
        ["TABLE_NAME", "DEFINER", "SECURITY_TYPE", "CHECK_OPTION", "CHARACTER_SET_CLIENT", "COLLATION_CONNECTION"]
        + ["ALGORITHM"],
        "FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {} ORDER BY TABLE_NAME",
    ),
    "routine": (
        ["CONCAT(type, ' ', name)", "definer", "sql_mode", "security_type", "is_deterministic", "sql_data_access"]
        + ["MD5(param_list)", "MD5(returns)", "MD5(body)", "comment", "character_set_client", "collation_connection"]
        + ["db_collation"],
        "FROM mysql.proc WHERE db = {} ORDER BY type, name",
    ),
    "trigger": (
        ["TRIGGER_NAME", "DEFINER", "EVENT_OBJECT_TABLE", "ACTION_TIMING", "EVENT_MANIPULATION", "ACTION_ORDER"]
        + ["MD5(ACTION_STATEMENT)", "SQL_MODE", "CHARACTER_SET_CLIENT", "COLLATION_CONNECTION", "DATABASE_COLLATION"],
        "FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {} ORDER BY TRIGGER_NAME",
    ),
    # Whether an event is enabled is not compared: inside a hold it never is. Nor is the database's collation at its
    # making, which ALTER EVENT sets to that of the moment.
    "event": (
        ["EVENT_NAME", "DEFINER", "TIME_ZONE", "EVENT_TYPE", "EXECUTE_AT", "INTERVAL_VALUE", "INTERVAL_FIELD"]
        + ["SQL_MODE", "STARTS", "ENDS", "ON_COMPLETION", "MD5(EVENT_DEFINITION)", "EVENT_COMMENT"]
        + ["CHARACTER_SET_CLIENT", "COLLATION_CONNECTION"],
        "FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {} ORDER BY EVENT_NAME",
    ),
}
