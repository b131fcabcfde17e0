"""The way of a database that cannot be followed: dumped whole into the new server."""

from __future__ import annotations

from typing import Any

from ...account.accounts import Account
from ...host.digest import printable
from ...host.processes import AS_CLIENT
from ...host.system import refuse
from ...verbs import mariadb as verbs
from . import digest
from .sql import Login, ident, literal, login


def dump(account: Account, peer: Any, database: str) -> int:
    """Send a database's tables and sequences, with what is in them now; the bytes that went over."""
    total = 0
    with login(account, "read", "SELECT, SHOW VIEW, LOCK TABLES") as reader:
        for argv in dumps(database, reader):
            total += peer.stream(verbs.Restore(database=database), argv, env=reader.env()).bytes
    return total


def dumps(database: str, reader: Login) -> list[list[str]]:
    """The commands whose output, one after the other, restores a database's tables and sequences."""
    tables = digest.tables_of(database)
    if not tables:
        return []
    columns = digest.columns_of(database, tables)
    exact = [name for name in tables if any(_is_exact(column) for column in columns.get(name, []))]
    argv = [*AS_CLIENT, "mariadb-dump", "--no-defaults", f"--user={reader.user}", "--protocol=socket"]
    argv += ["--single-transaction", "--skip-lock-tables", "--skip-add-locks"]
    argv += ["--skip-add-drop-table", "--skip-triggers", "--skip-comments", "--hex-blob", "--no-autocommit", "--quick"]
    argv += ["--default-character-set=utf8mb4", "--max-allowed-packet=1G"]
    others = [name for name in tables if name not in exact]
    commands = [[*argv, "--", database, *others]] if others else []
    if exact:
        commands.append([*argv, "--no-data", "--", database, *exact])
    for name in exact:
        commands.append(_exact_dump(database, name, columns[name], reader))
    return commands


def _is_exact(column: tuple[str, str, str]) -> bool:
    """Whether mariadb-dump words it as something else: a FLOAT in 6 digits, a time without end as one that ends."""
    _, kind, extra = column
    return kind == "float" or extra == digest.ROW_END


def _exact_dump(database: str, table: str, columns: list[tuple[str, str, str]], reader: Login) -> list[str]:
    """A table of which mariadb-dump would write something else goes as INSERTs that the server words itself."""
    own = [column for column in columns if "GENERATED" not in column[2]]
    values = ", ',', ".join(f"IFNULL({_worded(*column)}, 'NULL')" for column in own)
    names = ", ".join(ident(name) for name, *_ in own)
    head = f"INSERT INTO {ident(table)} ({names}) VALUES ("
    statement = f"SELECT CONCAT({literal(head)}, {values}, ');')"
    statement += f" {digest.rows_of(database, table, [extra for *_, extra in own])}"
    script = "SET sql_mode = '', time_zone = '+00:00'; EXECUTE IMMEDIATE 0x" + statement.encode().hex()
    if len(script) > 120_000:
        refuse(
            "table_too_wide",
            f"The table {printable(table)} has FLOAT columns or keeps old rows, and has too many columns for that.",
        )
    return reader.argv("--raw", "-e", f"{script}; SELECT 'COMMIT;'")


def _worded(column: str, kind: str, extra: str) -> str:
    name = ident(column)
    if extra == digest.ROW_END:
        return f"IF({digest.is_now(column)}, 'DEFAULT', QUOTE({name}))"
    if kind == "float":
        return f"CAST({name} AS DOUBLE)"
    if kind == "bit":
        return f"({name} + 0)"
    if kind.endswith(("blob", "binary")) or kind in digest.GEOMETRY:
        return f"IF(LENGTH({name}) = 0, \"''\", CONCAT('0x', HEX({name})))"
    return f"QUOTE({name})"
