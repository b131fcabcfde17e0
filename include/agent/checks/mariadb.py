"""What an account's MariaDB databases hold that the new version takes otherwise.

Definitions come from the server's catalogue. Rows are read as a user made for it, who may read the account's databases
and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from ..account.accounts import Account
from ..host.digest import printable
from ..host.system import Refused
from ..stores.mariadb.digest import OUTSIDE_ENGINES
from ..stores.mariadb.sql import existing, ident, literal, login, queries, query, select
from .findings import Clock, Findings
from .text import Definition, as_read, match, uses_variable, whole_word

# What every version from 10.11 on knows.
_MODES = frozenset(
    "REAL_AS_FLOAT PIPES_AS_CONCAT ANSI_QUOTES IGNORE_SPACE IGNORE_BAD_TABLE_OPTIONS ONLY_FULL_GROUP_BY"
    " NO_UNSIGNED_SUBTRACTION NO_DIR_IN_CREATE POSTGRESQL ORACLE MSSQL DB2 MAXDB NO_KEY_OPTIONS NO_TABLE_OPTIONS"
    " NO_FIELD_OPTIONS MYSQL323 MYSQL40 ANSI NO_AUTO_VALUE_ON_ZERO NO_BACKSLASH_ESCAPES STRICT_TRANS_TABLES"
    " STRICT_ALL_TABLES NO_ZERO_IN_DATE NO_ZERO_DATE ALLOW_INVALID_DATES ERROR_FOR_DIVISION_BY_ZERO TRADITIONAL"
    " NO_AUTO_CREATE_USER HIGH_NOT_PRECEDENCE NO_ENGINE_SUBSTITUTION PAD_CHAR_TO_FULL_LENGTH EMPTY_STRING_IS_NULL"
    " SIMULTANEOUS_ASSIGNMENT TIME_ROUND_FRACTIONAL".split()
)
_TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json")
_DEFINITIONS = (
    (
        ["LOWER(type)", "name", "CONCAT('CREATE ', type, ' ', name, '(', param_list, ') ', `returns`, ' ', body)"]
        + ["sql_mode"],
        "FROM mysql.proc WHERE db = {}",
    ),
    (
        ["'view'", "TABLE_NAME", "VIEW_DEFINITION", "''"],
        "FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {}",
    ),
    (
        ["'trigger'", "TRIGGER_NAME", "ACTION_STATEMENT", "SQL_MODE"],
        "FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {}",
    ),
    (
        ["'event'", "EVENT_NAME", "EVENT_DEFINITION", "SQL_MODE"],
        "FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {}",
    ),
)


class Database:
    """One of the account's databases; its definitions are read when they are first asked for."""

    def __init__(self, name: str, findings: Findings, clock: Clock) -> None:
        self.name, self.findings, self.clock = name, findings, clock

    @cached_property
    def definitions(self) -> list[Definition]:
        """Everything in it that has a text, by kind and name."""
        rows = queries([select(columns, source.format(literal(self.name))) for columns, source in _DEFINITIONS])
        return [
            as_read(f"database {self.name}, {kind} {name}", text or "", "mariadb", mode or "", self.findings)
            for part in rows
            for kind, name, text, mode in sorted(part, key=str)
        ]


def look(account: Account, checks: list[dict[str, Any]], addresses: list[str], findings: Findings, clock: Clock) -> int:
    """Run these checks on each of the account's databases here; how many tables were looked at."""
    tables = 0
    for name in existing(account.mariadb_databases):
        if clock.expired:
            findings.leave(f"There was no time for the MariaDB database {printable(name)}.")
            continue
        database = Database(name, findings, clock)
        for check in checks:
            if run := _KINDS.get(check["kind"]):
                run(database, check, findings)
        if addresses and (asking := [check for check in checks if check["kind"] == "old_addresses"]):
            tables += _old_addresses(account, name, asking, addresses, findings, clock)
    return tables


def _sql_text(database: Database, check: dict[str, Any], findings: Findings) -> None:
    if check["engine"] == "mariadb":
        match(database.definitions, check, findings, database.clock)


def _variables(database: Database, check: dict[str, Any], findings: Findings) -> None:
    for definition in database.definitions:
        for variable in check["variables"]:
            if uses_variable(definition.text, variable):
                findings.add(check["id"], definition.where, f"uses the variable {variable}")


def _sql_mode(database: Database, check: dict[str, Any], findings: Findings) -> None:
    for definition in database.definitions:
        for mode in sorted({*filter(None, definition.mode.split(","))} - _MODES):
            findings.add(check["id"], definition.where, f"was made under the sql_mode {mode}")


def _names(database: Database, check: dict[str, Any], findings: Findings) -> None:
    words = ", ".join(literal(word.upper()) for word in check["words"])
    at = literal(database.name)
    tables, columns, routines = queries(
        [
            select(
                ["TABLE_NAME"],
                f"FROM information_schema.TABLES WHERE TABLE_SCHEMA = {at} AND UPPER(TABLE_NAME) IN ({words})",
            ),
            select(
                ["TABLE_NAME", "COLUMN_NAME"],
                f"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {at} AND UPPER(COLUMN_NAME) IN ({words})",
            ),
            select(["LOWER(type)", "name"], f"FROM mysql.proc WHERE db = {at} AND UPPER(name) IN ({words})"),
        ]
    )
    places = [(f"table {table}", table) for (table,) in tables]
    places += [(f"table {table}, column {column}", column) for table, column in columns]
    places += [(f"{kind} {name}", name) for kind, name in routines]
    for where, name in places:
        findings.add(check["id"], f"database {database.name}, {where}", f"is named {name}")


def _body(definition: Definition) -> str:
    """A definition without its head, where a routine's own name stands."""
    return re.sub(r"\ACREATE (?:FUNCTION|PROCEDURE|PACKAGE BODY|PACKAGE) .*?\(", "", definition.text, flags=re.DOTALL)


def _functions(database: Database, check: dict[str, Any], findings: Findings) -> None:
    """Functions that are named like one of the server's own: a call that does not name the database means that."""
    words = {word.upper() for word in check["words"]}
    rows = query(["name"], f"FROM mysql.proc WHERE db = {literal(database.name)} AND type = 'FUNCTION' ORDER BY name")
    for (name,) in rows:
        if str(name).upper() not in words:
            continue
        findings.add(check["id"], f"database {database.name}, function {name}", f"is named {name}")
        call = re.compile(
            rf"(?<![\w$.`]){re.escape(str(name))}\s*\(|(?<![.])`{re.escape(str(name))}`\s*\(", re.IGNORECASE
        )
        for definition in database.definitions:
            # What the server prints of a view is worded anew for the move.
            if ", view " not in definition.where and call.search(_body(definition)):
                findings.add(check["id"], definition.where, f"calls {name} without the name of its database")


def _charset(database: Database, check: dict[str, Any], findings: Findings) -> None:
    charsets = {name.lower() for name in check.get("charsets", [])}
    collations = {name.lower() for name in check.get("collations", [])}
    at = literal(database.name)
    defaults, tables, columns = queries(
        [
            select(
                ["DEFAULT_CHARACTER_SET_NAME", "DEFAULT_COLLATION_NAME"],
                f"FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {at}",
            ),
            select(
                ["TABLE_NAME", "SUBSTRING_INDEX(TABLE_COLLATION, '_', 1)", "TABLE_COLLATION"],
                f"FROM information_schema.TABLES WHERE TABLE_SCHEMA = {at} AND TABLE_COLLATION IS NOT NULL",
            ),
            select(
                ["TABLE_NAME", "COLUMN_NAME", "CHARACTER_SET_NAME", "COLLATION_NAME"],
                f"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {at} AND COLLATION_NAME IS NOT NULL",
            ),
        ]
    )
    of = f"database {database.name}"
    places = [(of, *row) for row in defaults]
    places += [(f"{of}, table {table}", *row) for table, *row in tables]
    places += [(f"{of}, table {table}, column {column}", *row) for table, column, *row in columns]
    for where, charset, collation in places:
        if str(charset).lower() in charsets:
            findings.add(check["id"], str(where), f"has the character set {charset}")
        if str(collation).lower() in collations:
            findings.add(check["id"], str(where), f"has the collation {collation}")


_TRANSACTION = re.compile(r"(?i)\bstart\s+transaction\b|\bautocommit\s*=\s*(?:0|off|false)\b")


def _snapshot_isolation(database: Database, check: dict[str, Any], findings: Findings) -> None:
    """Tables of which two transactions may change the same row, where this server lets the second one win.

    Whether an application reads in a transaction what it then changes stands in no data and no definition, and the
    programs of most accounts leave it to a framework. So whoever has such tables is told; what can be seen to begin a
    transaction is told by its name."""
    if any(value == "ON" for _, value in queries(["SHOW GLOBAL VARIABLES LIKE 'innodb_snapshot_isolation'"])[0]):
        return
    at = literal(database.name)
    rows = query(["COUNT(*)"], f"FROM information_schema.TABLES WHERE TABLE_SCHEMA = {at} AND ENGINE = 'InnoDB'")
    if number := int(rows[0][0] or 0):
        tables = "1 table" if number == 1 else f"{number:,} tables"
        findings.add(check["id"], f"database {database.name}", f"has {tables} of InnoDB, which this changes")
        for definition in database.definitions:
            if _TRANSACTION.search(definition.text):
                findings.add(check["id"], definition.where, "begins a transaction: look at it first")


_KINDS: dict[str, Callable[[Database, dict[str, Any], Findings], None]] = {
    "sql_text": _sql_text,
    "mariadb_variables": _variables,
    "mariadb_sql_mode": _sql_mode,
    "mariadb_snapshot_isolation": _snapshot_isolation,
    "mariadb_names": _names,
    "mariadb_functions": _functions,
    "mariadb_charset": _charset,
}


# --- rows ---


def _old_addresses(
    account: Account,
    database: str,
    checks: list[dict[str, Any]],
    addresses: list[str],
    findings: Findings,
    clock: Clock,
) -> int:
    """Addresses of the old server in the texts of a database, counted by column; how many tables were read."""
    kinds = ", ".join(map(literal, _TEXTS))
    outside = ", ".join(map(literal, OUTSIDE_ENGINES))
    rows = query(
        ["c.TABLE_NAME", "c.COLUMN_NAME"],
        f"FROM information_schema.COLUMNS c JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA"
        f" AND t.TABLE_NAME = c.TABLE_NAME WHERE c.TABLE_SCHEMA = {literal(database)} AND t.TABLE_TYPE = 'BASE TABLE'"
        f" AND IFNULL(t.ENGINE, {literal(OUTSIDE_ENGINES[0])}) NOT IN ({outside}) AND c.DATA_TYPE IN ({kinds})"
        " AND c.EXTRA NOT LIKE '%VIRTUAL%' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION",
    )
    columns: dict[str, list[str]] = {}
    for table, column in rows:
        columns.setdefault(str(table), []).append(str(column))
    read = 0
    with login(account, "check", "SELECT") as reader:
        for table, texts in columns.items():
            if clock.expired:
                findings.leave(f"There was no time for {len(columns) - read:,} tables of {printable(database)}.")
                break
            asked = [(text, address) for text in texts for address in addresses]
            counts = [_counting(text, address) for text, address in asked]
            limit = f"SET SESSION max_statement_time = {max(1.0, clock.left):.0f}"
            try:
                _, rows = queries(
                    [limit, select(counts, f"FROM {ident(database)}.{ident(table)}")],
                    login=reader,
                    purpose=printable(table),
                )
            except Refused as error:
                findings.leave(f"The table {printable(table)} of {printable(database)} was not read: {error.message}")
                continue
            read += 1
            for (text, address), number in zip(asked, rows[0], strict=True):
                for check in checks if int(number or 0) else ():
                    where = f"database {database}, table {table}, column {text}"
                    findings.add(check["id"], where, f"names the old address {address}", count=int(number or 0))
    return read


def _counting(column: str, address: str) -> str:
    text = f"CONVERT({ident(column)} USING utf8mb4)"
    likely = f"LOCATE({literal(address)}, {text}) > 0"
    return f"IFNULL(SUM({likely} AND {text} REGEXP {literal('(?i)' + whole_word(address))}), 0)"
