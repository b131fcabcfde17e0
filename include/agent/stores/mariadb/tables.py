"""What the tables of an account are, and the statements that read, write and prove their rows on any version.

A row is worded by the server that has it as a tuple of literals, in ASCII: text as its own bytes with its character
set, so nothing is converted on the way, and a FLOAT as the DOUBLE that it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from . import digest
from .binlog import Shape
from .sql import ident, literal, queries, select
from .values import Decoder, Key, decoder

Name = tuple[str, str]
Literals = bytes  # rows, worded as SQL
BATCH = 500
_TEXT = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json"}
_BYTES = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"} | digest.GEOMETRY
_NUMBERED = {"enum", "set", "bit"}
_NUMBERS = {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "double", "year"}
# What LOAD DATA makes of a field that is not taken as it is. It takes bytes, and UUID, INET6 and what a later version
# brings would take those for their inner form, so they are told that it is text.
NUMBERED, HEXADECIMAL, WORDED = "{} + 0", "UNHEX({})", "CONVERT({} USING utf8mb4)"
_TIMES = {"date", "time", "datetime", "timestamp"}


@dataclass(frozen=True)
class Column:
    """A column; `number` is its place in the table, by which the binary log knows it."""

    name: str
    number: int
    kind: str
    column_type: str
    charset: str | None
    length: int
    scale: int
    extra: str

    @property
    def generated(self) -> bool:
        """Whether the server computes it."""
        return "GENERATED" in self.extra or "VIRTUAL" in self.extra

    def decoder(self) -> Decoder | None:
        """How the binary log's bytes of it read."""
        if "VIRTUAL" in self.extra:
            return None
        return decoder(self.kind, self.column_type, self.charset, self.length, self.scale)

    def worded(self) -> str:
        """An expression of the literal that equals its value, NULL when it is NULL."""
        name = ident(self.name)
        if self.extra == digest.ROW_END:
            return f"IF({digest.is_now(self.name)}, 'DEFAULT', QUOTE({name}))"
        if self.kind in _TEXT:
            return f"CONCAT('_{self.charset} X''', HEX({name}), '''')"
        if self.kind in _BYTES:
            return f"CONCAT('X''', HEX({name}), '''')"
        if self.kind in _NUMBERED:
            return f"({name} + 0)"
        if self.kind == "float":
            return f"CAST({name} AS DOUBLE)"
        if self.kind in _NUMBERS:
            return name
        return f"CONCAT('_utf8mb4 X''', HEX(CONVERT(CAST({name} AS CHAR) USING utf8mb4)), '''')"

    def tabbed(self) -> str:
        """An expression of its value as a field of LOAD DATA, enclosed where text could be mistaken."""
        name = ident(self.name)
        if self.kind in digest.GEOMETRY:
            return f"HEX({name})"
        if self.kind in _TEXT or self.kind in _BYTES:
            return f"CONCAT(X'01', REPLACE(CAST({name} AS BINARY), X'01', X'0101'), X'01')"
        if self.kind in _NUMBERS or self.kind in _TIMES:
            return name
        return self.worded() if self.kind in _NUMBERED or self.kind == "float" else f"CAST({name} AS CHAR)"

    def loaded(self) -> str | None:
        """How LOAD DATA makes its value of the field; None when it takes the field as it is."""
        if self.kind in digest.GEOMETRY:
            return HEXADECIMAL
        if self.kind in _NUMBERED:
            return NUMBERED
        plain = self.kind in _TEXT or self.kind in _BYTES or self.kind in _NUMBERS or self.kind in _TIMES
        return None if plain or self.kind == "float" else WORDED


@dataclass(frozen=True)
class Reference:
    """A foreign key by which a change of the table referred to changes rows of `child`, which no log tells."""

    child: Name
    columns: tuple[str, ...]
    referred: tuple[str, ...]


@dataclass
class Table:
    """A table that holds rows; `key` names the columns that identify one, none when there are none that can be told."""

    name: Name
    engine: str
    bytes: int
    columns: list[Column]
    key: tuple[str, ...] = ()
    references: list[Reference] = field(default_factory=list)
    versioned: bool = False

    @property
    def steady(self) -> bool:
        """Whether a snapshot holds its rows still."""
        return self.engine.upper() == "INNODB"

    @property
    def at(self) -> str:
        return f"{ident(self.name[0])}.{ident(self.name[1])}"

    @property
    def source(self) -> str:
        """The FROM clause of all that it holds: of a system-versioned one also the rows that were."""
        return digest.rows_of(*self.name, [column.extra for column in self.columns])

    @property
    def own(self) -> list[Column]:
        """The columns that are written."""
        return [column for column in self.columns if not column.generated]

    def shape(self) -> Shape | None:
        """What the binary log's reader must know."""
        if not self.key:
            return None
        return Shape(self._parts(self.key), tuple(self._parts(reference.referred) for reference in self.references))

    def _parts(self, names: Sequence[str]) -> tuple[tuple[int, Decoder], ...]:
        by_name = {column.name: column for column in self.columns}
        return tuple((by_name[name].number, by_name[name].decoder() or _no_decoder) for name in names)

    # --- statements ---

    def rows(self, where: str = "") -> str:
        """A SELECT of rows, each as a tuple of literals."""
        return f"SELECT {_tuple(self.own)} {self.source}{where}"

    def keys(self, columns: Sequence[str], where: str) -> str:
        """A SELECT of these columns of rows, as literals."""
        by_name = {column.name: column for column in self.columns}
        return select([f"IFNULL({by_name[name].worded()}, 'NULL')" for name in columns], f"FROM {self.at}{where}")

    def count(self, where: str = "") -> str:
        """A SELECT of how many rows there are."""
        return select(["COUNT(*)"], f"{self.source}{where}")

    def insert(self, rows: Iterable[Literals]) -> Literals:
        """An INSERT of rows as `rows` words them."""
        head = f"INSERT INTO {self.at} ({', '.join(ident(column.name) for column in self.own)}) VALUES "
        return head.encode() + b",".join(rows)

    def delete(self, where: str) -> str:
        return f"DELETE FROM {self.at}{where}"

    def empty(self) -> list[str]:
        """Statements that leave nothing in it."""
        return [f"DELETE FROM {self.at}"] + ([f"DELETE HISTORY FROM {self.at}"] if self.versioned else [])

    def proof(self, where: str = "") -> str:
        """A SELECT of how many rows there are and of a sum over what is in them."""
        plain = [(c.name, c.kind, c.extra) for c in self.columns if "VIRTUAL" not in c.extra]
        return digest.content(self.name[0], self.name[1], plain, where)

    def tabs(self, where: str = "") -> str:
        """A SELECT of rows as LOAD DATA reads them from a client's output."""
        return f"SELECT {', '.join(column.tabbed() for column in self.own)} FROM {self.at}{where}"


def _no_decoder(raw: bytes) -> str:
    raise ValueError("a column whose value cannot be told from the log")


def _tuple(columns: Sequence[Column]) -> str:
    parts = ", ".join(f"IFNULL({column.worded()}, 'NULL')" for column in columns)
    return f"CONCAT('(', CONCAT_WS(',', {parts}), ')')"


def matching(columns: Sequence[str], values: Iterable[Key]) -> list[str]:
    """WHERE clauses that together match the rows whose columns have one of these values, each of moderate length."""
    ordered = sorted(values)
    clauses = []
    for first in range(0, len(ordered), BATCH):
        batch = ordered[first : first + BATCH]
        if len(columns) == 1:
            clauses.append(f" WHERE {ident(columns[0])} IN ({', '.join(value[0] for value in batch)})")
        else:
            names = [ident(name) for name in columns]
            conditions = (" AND ".join(f"{n} = {v}" for n, v in zip(names, value, strict=True)) for value in batch)
            clauses.append(" WHERE (" + ") OR (".join(conditions) + ")")
    return clauses


# --- what there is ---


def tables(databases: Sequence[str]) -> dict[Name, Table]:
    """The tables of these databases that hold rows; sequences do not, nor do tables that show those of others."""
    if not databases:
        return {}
    among = "(" + ", ".join(literal(name) for name in databases) + ")"
    listed, columns, keys, parents, sizes = queries(
        [
            select(
                ["TABLE_SCHEMA", "TABLE_NAME", "ENGINE", "IFNULL(DATA_LENGTH, 0)", "TABLE_TYPE"],
                f"FROM information_schema.TABLES WHERE TABLE_SCHEMA IN {among}"
                " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND IFNULL(ENGINE, '') <> 'MRG_MyISAM'",
            ),
            select(
                ["TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "ORDINAL_POSITION", "DATA_TYPE", "COLUMN_TYPE"]
                + ["CHARACTER_SET_NAME", "IFNULL(CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION)", "NUMERIC_SCALE"]
                + [digest.EXTRA],
                f"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN {among}"
                " ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION",
            ),
            select(
                ["TABLE_SCHEMA", "TABLE_NAME", "INDEX_NAME", "COLUMN_NAME", "NON_UNIQUE", "SUB_PART", "NULLABLE"],
                f"FROM information_schema.STATISTICS WHERE TABLE_SCHEMA IN {among}"
                " ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX",
            ),
            select(
                ["u.TABLE_SCHEMA", "u.TABLE_NAME", "u.CONSTRAINT_NAME", "u.COLUMN_NAME", "u.REFERENCED_TABLE_SCHEMA"]
                + ["u.REFERENCED_TABLE_NAME", "u.REFERENCED_COLUMN_NAME"],
                "FROM information_schema.KEY_COLUMN_USAGE u JOIN information_schema.REFERENTIAL_CONSTRAINTS r"
                " ON r.CONSTRAINT_SCHEMA = u.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = u.CONSTRAINT_NAME"
                f" AND r.TABLE_NAME = u.TABLE_NAME WHERE u.TABLE_SCHEMA IN {among} AND r.CONSTRAINT_SCHEMA IN {among}"
                " AND u.REFERENCED_TABLE_NAME IS NOT NULL AND (r.UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION')"
                " OR r.DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION'))"
                " ORDER BY u.TABLE_SCHEMA, u.TABLE_NAME, u.CONSTRAINT_NAME, u.ORDINAL_POSITION",
            ),
            select(["NAME", "FILE_SIZE"], "FROM information_schema.INNODB_SYS_TABLESPACES"),
        ]
    )
    files: dict[Name, int] = {}
    for path, size in sizes:
        folder, _, file = str(path).partition("/")
        at = (folder, re.split("#[Pp]#", file)[0])
        files[at] = files.get(at, 0) + int(size or 0)
    by_name: dict[Name, Table] = {}
    for database, name, engine, size, kind in listed:
        at = (str(database), str(name))
        by_name[at] = Table(at, str(engine), max(int(size or 0), files.get(at, 0)), [])
        by_name[at].versioned = kind == "SYSTEM VERSIONED"
    for database, name, column, number, kind, column_type, charset, length, scale, extra in columns:
        table = by_name.get((str(database), str(name)))
        if table:
            numbers = (int(number or 1) - 1, int(length or 0), int(scale or 0))
            kinds = (str(kind).lower(), str(column_type).lower(), charset)
            table.columns.append(Column(str(column), numbers[0], *kinds, *numbers[1:], str(extra)))
    for each_table in by_name.values():
        if each_table.versioned:
            named = [(column.name, column.kind, column.extra) for column in each_table.columns]
            for name, kind, extra in digest.hidden(named):
                each_table.columns.append(Column(name, len(each_table.columns), kind, f"{kind}(6)", None, 0, 6, extra))
    _add_keys(by_name, keys)
    _add_references(by_name, parents)
    return by_name


def _add_keys(tables: dict[Name, Table], rows: list[list[str | None]]) -> None:
    indexes: dict[tuple[Name, str], list[tuple[str, bool]]] = {}
    for database, name, index, column, non_unique, prefix, nullable in rows:
        at = (str(database), str(name))
        if at not in tables or tables[at].versioned:  # a key names all versions of a row, and none can be taken out
            continue
        good = non_unique == "0" and prefix is None and nullable != "YES"
        indexes.setdefault((at, str(index)), []).append((str(column), good))
    for (at, _), parts in indexes.items():
        table = tables[at]
        columns = {column.name: column for column in table.columns}
        usable = all(good and name in columns and columns[name].decoder() for name, good in parts)
        if usable and not table.key:
            table.key = tuple(name for name, _ in parts)


def _add_references(tables: dict[Name, Table], rows: list[list[str | None]]) -> None:
    parts: dict[tuple[str, str, str], list[list[str]]] = {}
    for row in rows:
        database, name, constraint, *rest = (str(value) for value in row)
        parts.setdefault((database, name, constraint), []).append(rest)
    for (database, name, _), columns in parts.items():
        parent = tables.get((columns[0][1], columns[0][2]))
        if parent:
            own, referred = tuple(c[0] for c in columns), tuple(c[3] for c in columns)
            parent.references.append(Reference((database, name), own, referred))
