"""A print of what defines an account's MariaDB databases: two that are equal mean that nothing was defined anew.

It is taken from this server's catalogues whenever something is loaded, made or compared, so a change since then is
found whatever the binary log says. Every column of these catalogues is in it, also one that a later version brings;
what changes without anybody defining anything is named in `LEFT_OUT`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator

from ...account.accounts import Account
from ...host.kept import once
from .sql import ident, literal, queries, query, select
from .tables import Name

# Of each catalogue the columns that name the database and the table.
OF_TABLES = {
    "information_schema.TABLES": ("TABLE_SCHEMA", "TABLE_NAME"),
    "information_schema.COLUMNS": ("TABLE_SCHEMA", "TABLE_NAME"),
    "information_schema.STATISTICS": ("TABLE_SCHEMA", "TABLE_NAME"),
    "information_schema.PARTITIONS": ("TABLE_SCHEMA", "TABLE_NAME"),
    "information_schema.TABLE_CONSTRAINTS": ("TABLE_SCHEMA", "TABLE_NAME"),
    "information_schema.KEY_COLUMN_USAGE": ("TABLE_SCHEMA", "TABLE_NAME"),
    "information_schema.REFERENTIAL_CONSTRAINTS": ("CONSTRAINT_SCHEMA", "TABLE_NAME"),
    "information_schema.CHECK_CONSTRAINTS": ("CONSTRAINT_SCHEMA", "TABLE_NAME"),
    "information_schema.GEOMETRY_COLUMNS": ("F_TABLE_SCHEMA", "F_TABLE_NAME"),
    "information_schema.PERIODS": ("TABLE_SCHEMA", "TABLE_NAME"),
    "information_schema.KEY_PERIOD_USAGE": ("TABLE_SCHEMA", "TABLE_NAME"),
    "information_schema.SEQUENCES": ("SEQUENCE_SCHEMA", "SEQUENCE_NAME"),
}
# Of each catalogue the column that names the database.
OF_DATABASES = {
    "information_schema.SCHEMATA": "SCHEMA_NAME",
    "information_schema.VIEWS": "TABLE_SCHEMA",
    "information_schema.TRIGGERS": "TRIGGER_SCHEMA",
    "mysql.proc": "db",
    "mysql.event": "db",
}
# Those of users and of roles; a role is a user that comes from nowhere.
OF_USERS = (
    "mysql.global_priv",
    "mysql.db",
    "mysql.tables_priv",
    "mysql.columns_priv",
    "mysql.procs_priv",
    "mysql.proxies_priv",
    "mysql.roles_mapping",
)
_GROWS = "it changes with the rows"
_NUMBER = "the next number is made equal by itself, in every pass"
_MOMENT = "a moment or a statistic, which is the server's own affair"
_HOLD = "a hold itself changes it, and gives it back"
LEFT_OUT = {
    "information_schema.TABLES": {
        **dict.fromkeys(["TABLE_ROWS", "AVG_ROW_LENGTH", "DATA_LENGTH", "MAX_DATA_LENGTH", "INDEX_LENGTH"], _GROWS),
        **dict.fromkeys(["DATA_FREE", "MAX_INDEX_LENGTH", "UPDATE_TIME", "CHECKSUM"], _GROWS),
        "AUTO_INCREMENT": _NUMBER,
        "CHECK_TIME": _MOMENT,
    },
    "information_schema.STATISTICS": {"CARDINALITY": _MOMENT},
    "information_schema.PARTITIONS": {
        **dict.fromkeys(["TABLE_ROWS", "AVG_ROW_LENGTH", "DATA_LENGTH", "MAX_DATA_LENGTH", "INDEX_LENGTH"], _GROWS),
        **dict.fromkeys(["DATA_FREE", "UPDATE_TIME", "CHECKSUM"], _GROWS),
        **dict.fromkeys(["CREATE_TIME", "CHECK_TIME"], _MOMENT),
    },
    "mysql.event": {"last_executed": _MOMENT, "modified": _HOLD, "status": _HOLD},
}
# Of some columns the part that is nobody's doing.
_INSTEAD = {
    # A table of InnoDB has an identity (below), and this is the time of its file, which a restore may touch. One of
    # another engine could be emptied within the same second, so as long as that may be it is another at every look.
    (
        "information_schema.TABLES",
        "CREATE_TIME",
    ): "IF(ENGINE = 'InnoDB', NULL, IF(CREATE_TIME > SYSDATE() - INTERVAL 2 SECOND, SYSDATE(6), CREATE_TIME))",
    ("mysql.global_priv", "Priv"): "JSON_COMPACT(JSON_REMOVE(Priv, '$.account_locked', '$.version_id'))",
}
IDENTIFIED = frozenset({"INNODB", "MYISAM", "ARIA"})
"""The engines of whose tables the print tells when one was put into another's place, or emptied."""


@once
def catalogues() -> dict[str, list[str]]:
    """The columns of each catalogue that are in the print; a catalogue that this version does not have has none."""
    columns: dict[str, list[str]] = {}
    names = [*OF_TABLES, *OF_DATABASES, *OF_USERS]
    among = ", ".join(literal(name) for name in names)
    rows = query(
        ["CONCAT(TABLE_SCHEMA, '.', TABLE_NAME)", "COLUMN_NAME"],
        "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN ('information_schema', 'mysql')"
        f" AND CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) IN ({among}) ORDER BY 1, ORDINAL_POSITION",
    )
    for name, column in rows:
        if column not in LEFT_OUT.get(str(name), {}):
            columns.setdefault(str(name), []).append(str(column))
    return columns


def _sum(catalogue: str) -> str:
    """An aggregate over every column of some rows, whatever their order."""
    parts = (_INSTEAD.get((catalogue, column), ident(column)) for column in catalogues()[catalogue])
    row = ", ".join(f"QUOTE({part})" for part in parts)
    return f"SUM(CAST(CONV(LEFT(MD5(CONCAT_WS(',', {row})), 16), 16, 10) AS UNSIGNED))"


def prints(account: Account, databases: list[str]) -> tuple[dict[Name, str], str]:
    """Of each table, view and sequence in these databases, and of all else that defines the account's databases."""
    present = catalogues()
    asked: list[tuple[str, str]] = []
    for database in databases:
        for name, (schema, table) in OF_TABLES.items():
            if name in present:
                where = f"FROM {name} WHERE {schema} = {literal(database)} GROUP BY BINARY {table}"
                asked.append((database, select([literal(name), table, _sum(name)], where)))
        asked.append((database, _identities(database)))
    for database in account.mariadb_databases:
        for name, schema in OF_DATABASES.items():
            where = f"FROM {name} WHERE {schema} = {literal(database)}"
            asked.append(("", select([literal(name), "''", _sum(name)], where)))
    users = ", ".join(literal(user) for user, _ in account.mariadb_users) or "NULL"
    for name in OF_USERS:
        where = f"FROM {name} WHERE User IN ({users}) OR (Host = '' AND User NOT LIKE 'th\\_quiet\\_%')"
        asked.append(("", select([literal(name), "''", _sum(name)], where)))
    tables: dict[Name, list[list[str | None]]] = {}
    rest = []
    for (database, _), rows in zip(asked, queries([statement for _, statement in asked]), strict=True):
        for row in rows:
            if database:
                tables.setdefault((database, str(row[1])), []).append([row[0], row[2]])
            else:
                rest.append(row)
    for database in databases:
        for table, inode in _files(database):
            if (database, table) in tables:
                tables[database, table].append(["file", inode])
    return {name: _digest(rows) for name, rows in tables.items()}, _digest(rest)


def _identities(database: str) -> str:
    """Which tables of InnoDB they are: one that was dropped and made again, or emptied, is another one."""
    folder, table = (f"CONVERT(CAST({part} AS BINARY) USING filename)" for part in _PARTS)
    where = f"FROM information_schema.INNODB_SYS_TABLES WHERE {folder} = {literal(database)} GROUP BY BINARY {table}"
    return select(["'identity'", table, "SUM(CAST(CONV(LEFT(MD5(TABLE_ID), 16), 16, 10) AS UNSIGNED))"], where)


def _files(database: str) -> Iterator[tuple[str, str]]:
    """(table, number of a file of it), of engines that know no identity: two tables that were renamed into one another
    have changed their files."""
    (folder,) = query(["@@GLOBAL.datadir", f"HEX(CONVERT({literal(database)} USING filename))"], "")
    with os.scandir(os.path.join(str(folder[0]), bytes.fromhex(str(folder[1])).decode())) as entries:
        files = [(entry.name, entry.inode()) for entry in entries if entry.name.endswith((".MYD", ".MAD"))]
    tables = [literal(re.split("#P#", name[:-4], flags=re.IGNORECASE)[0]) for name, _ in files]
    names = query([f"CONVERT(CAST({table} AS BINARY) USING filename)" for table in tables], "")[0] if tables else []
    for (_, inode), name in zip(files, names, strict=True):
        yield str(name), str(inode)


# A partition is its table's name and more.
_PARTS = ("SUBSTRING_INDEX(NAME, '/', 1)", "REGEXP_REPLACE(SUBSTRING_INDEX(NAME, '/', -1), '(?i)#P#.*', '')")


def _digest(rows: list[list[str | None]]) -> str:
    return hashlib.sha256(json.dumps(sorted(rows, key=str)).encode()).hexdigest()[:20]
