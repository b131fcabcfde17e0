"""What an account's PostgreSQL databases hold that the new version takes otherwise.

The superuser reads catalogues only, and lets the server print definitions, which runs nothing of a customer's. Rows
come by COPY, as pg_dump reads them (see postgres_digest for why not by SELECT).
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

from ..account.accounts import Account
from ..host.digest import printable
from ..stores.postgresql.inventory import USER_SCHEMA
from ..stores.postgresql.sql import AS_POSTGRES, Session, conninfo, environment, ident, literals, program, query
from . import zones as checks_zones
from .findings import Clock, Findings
from .text import Definition, addresses_in, as_read, match

_MAX_LINE = 64 << 20
_NAMED = "format('%s.%s', n.nspname, o.relname)"
_RELATION = "JOIN pg_class o ON o.oid = {} JOIN pg_namespace n ON n.oid = o.relnamespace"


def _own(column: str) -> str:
    return USER_SCHEMA.format(column)


def _no_extension(catalog: str) -> str:
    """What an extension brings along is not the customer's."""
    return (
        f"NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{catalog}'::regclass AND d.objid = o.oid"
        " AND d.deptype = 'e')"
    )


class Database:
    """One of the account's databases, and the superuser's session in it."""

    def __init__(self, name: str, session: Session, findings: Findings, clock: Clock) -> None:
        self.name, self.query, self.findings, self.clock = name, session.query, findings, clock

    @cached_property
    def definitions(self) -> list[Definition]:
        """Every routine, view and trigger."""
        return _definitions(self)

    @cached_property
    def expressions(self) -> list[Definition]:
        """Every default, generated column, check and policy."""
        return _expressions(self)


def _expressions(database: Database) -> list[Definition]:
    rows = database.query(
        f"SELECT json_build_array('default', format('%s.%s', {_NAMED}, a.attname), pg_get_expr(d.adbin, d.adrelid))"
        f" FROM pg_attrdef d {_RELATION.format('d.adrelid')} JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum"
        f" = d.adnum WHERE {_own('o.relnamespace')} ORDER BY 1::text;\n"
        "SELECT json_build_array('constraint', c.conname, pg_get_constraintdef(c.oid)) FROM pg_constraint c WHERE"
        f" c.contype = 'c' AND {_own('c.connamespace')} ORDER BY 1::text;\n"
        "SELECT json_build_array('policy', p.polname, concat_ws(' ', pg_get_expr(p.polqual, p.polrelid),"
        f" pg_get_expr(p.polwithcheck, p.polrelid))) FROM pg_policy p {_RELATION.format('p.polrelid')}"
        " ORDER BY 1::text;\n"
        f"SELECT json_build_array('index', {_NAMED}, pg_get_indexdef(i.indexrelid)) FROM pg_index i"
        f" {_RELATION.format('i.indexrelid')} WHERE {_own('o.relnamespace')} AND (i.indexprs IS NOT NULL OR i.indpred"
        " IS NOT NULL) ORDER BY 1::text;\n"
    )
    return [Definition(f"database {database.name}, {kind} {_plain(name)}", text or "") for kind, name, text in rows]


def _definitions(database: Database) -> list[Definition]:
    """As the statements that would make them: the server prints them, and runs none."""
    rows = database.query(
        "SELECT json_build_array('routine', format('%s.%s', n.nspname, o.proname), pg_get_functiondef(o.oid)) FROM"
        " pg_proc o JOIN pg_namespace n ON n.oid = o.pronamespace JOIN pg_language l ON l.oid = o.prolang WHERE"
        f" l.lanname NOT IN ('c', 'internal') AND o.prokind <> 'a' AND {_own('o.pronamespace')} AND"
        f" {_no_extension('pg_proc')} ORDER BY n.nspname, o.proname;\n"
        f"SELECT json_build_array('view', {_NAMED}, format('CREATE VIEW %I.%I AS %s', n.nspname, o.relname,"
        " pg_get_viewdef(o.oid))) FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace WHERE o.relkind IN"
        f" ('v', 'm') AND {_own('o.relnamespace')} AND {_no_extension('pg_class')} ORDER BY n.nspname, o.relname;\n"
        f"SELECT json_build_array('trigger', format('%s on %s', t.tgname, {_NAMED}), pg_get_triggerdef(t.oid)) FROM"
        f" pg_trigger t {_RELATION.format('t.tgrelid')} WHERE NOT t.tgisinternal AND {_own('o.relnamespace')}"
        " ORDER BY n.nspname, o.relname, t.tgname;\n"
    )
    return [
        as_read(f"database {database.name}, {kind} {_plain(name)}", text or "", "postgresql", "", database.findings)
        for kind, name, text in rows
    ]


def _plain(name: str) -> str:
    """A name as customers write it: the usual schema goes without saying."""
    return name.removeprefix("public.")


def look(account: Account, checks: list[dict[str, Any]], addresses: list[str], findings: Findings, clock: Clock) -> int:
    """Run these checks on each of the account's databases here; how many tables were looked at."""
    tables = 0
    with Session() as db:
        databases = db.existing(account.postgresql_databases)
        if databases:
            for check in checks:
                if check["kind"] == "postgresql_settings":
                    _role_settings(account, check, db, findings)
    for name in databases:
        if clock.expired:
            findings.leave(f"There was no time for the PostgreSQL database {printable(name)}.")
            continue
        with Session(name) as session:
            database = Database(name, session, findings, clock)
            for check in checks:
                if run := _KINDS.get(check["kind"]):
                    run(database, check, findings)
        tables += _rows(name, checks, addresses, findings, clock)
    return tables


def _sql_text(database: Database, check: dict[str, Any], findings: Findings) -> None:
    if check["engine"] == "postgresql":
        match(database.definitions, check, findings, database.clock)


def _extensions(database: Database, check: dict[str, Any], findings: Findings) -> None:
    removed = literals(check["removed"])
    for name in database.query(
        f"SELECT to_json(extname) FROM pg_extension WHERE extname = ANY({removed}) ORDER BY extname;"
    ):
        findings.add(check["id"], f"database {database.name}, extension {name}", f"has the extension {name}")


def _types(database: Database, check: dict[str, Any], findings: Findings) -> None:
    # An array is of the type of its elements, and a domain of the type that it rests on.
    of = (
        "WITH RECURSIVE u(oid, name) AS (SELECT t.oid, t.typname FROM pg_type t JOIN pg_namespace s ON s.oid ="
        f" t.typnamespace WHERE s.nspname = 'pg_catalog' AND t.typname = ANY({literals(check['types'])}) UNION SELECT"
        " t.oid, u.name FROM pg_type t JOIN u ON (t.typelem = u.oid AND t.typlen = -1) OR t.typbasetype = u.oid)"
    )
    rows = database.query(
        f"{of} SELECT json_build_array('table', {_NAMED}, a.attname, u.name) FROM pg_attribute a"
        f" {_RELATION.format('a.attrelid')} JOIN u ON u.oid = a.atttypid WHERE a.attnum > 0 AND NOT a.attisdropped AND"
        f" o.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND {_own('o.relnamespace')}"
        " ORDER BY n.nspname, o.relname, a.attnum;\n"
        f"{of} SELECT json_build_array('routine', format('%s.%s', n.nspname, o.proname), NULL, u.name) FROM pg_proc o"
        " JOIN pg_namespace n ON n.oid = o.pronamespace JOIN u ON u.oid = o.prorettype OR u.oid = ANY (o.proargtypes)"
        f" WHERE {_own('o.pronamespace')} ORDER BY n.nspname, o.proname;\n"
        f"{of} SELECT json_build_array('domain', format('%s.%s', n.nspname, o.typname), NULL, u.name) FROM pg_type o"
        f" JOIN pg_namespace n ON n.oid = o.typnamespace JOIN u ON u.oid = o.oid WHERE o.typtype = 'd' AND"
        f" {_own('o.typnamespace')} ORDER BY n.nspname, o.typname;\n"
    )
    for kind, name, column, type_name in rows:
        of = f", column {column}" if column else ""
        findings.add(check["id"], f"database {database.name}, {kind} {_plain(name)}{of}", f"is of the type {type_name}")


def _settings(database: Database, check: dict[str, Any], findings: Findings) -> None:
    """Settings that come with a function (SET in its definition)."""
    rows = database.query(
        "SELECT json_build_array(format('%s.%s', n.nspname, o.proname), s.setting) FROM pg_proc o JOIN pg_namespace n"
        " ON n.oid = o.pronamespace CROSS JOIN LATERAL (SELECT split_part(c, '=', 1) AS setting FROM"
        f" unnest(o.proconfig) c) s WHERE lower(s.setting) = ANY({_lower(check)}) ORDER BY n.nspname, o.proname;"
    )
    for name, setting in rows:
        findings.add(check["id"], f"database {database.name}, routine {_plain(name)}", f"sets {setting}")


def _role_settings(account: Account, check: dict[str, Any], db: Session, findings: Findings) -> None:
    """Settings that come with the account's roles and databases (ALTER ROLE or DATABASE ... SET)."""
    rows = db.query(
        "SELECT json_build_array(d.datname, r.rolname, s.setting) FROM pg_db_role_setting o LEFT JOIN pg_database d ON"
        " d.oid = o.setdatabase LEFT JOIN pg_roles r ON r.oid = o.setrole CROSS JOIN LATERAL (SELECT split_part(c, '=',"
        f" 1) AS setting FROM unnest(o.setconfig) c) s WHERE lower(s.setting) = ANY({_lower(check)}) AND (d.datname ="
        f" ANY({literals(account.postgresql_databases)}) OR r.rolname = ANY({literals(account.postgresql_roles)}))"
        " ORDER BY d.datname, r.rolname, s.setting;"
    )
    for database, role, setting in rows:
        parts = [f"database {database}"] if database else []
        parts += [f"role {role}"] if role else []
        findings.add(check["id"], ", ".join(parts), f"sets {setting}")


def _lower(check: dict[str, Any]) -> str:
    return literals(name.lower() for name in check["settings"])


_FIXED = "('C', 'POSIX', 'C.UTF-8', 'C.UTF8', 'C.utf8', 'ucs_basic')"


def _collations(database: Database, check: dict[str, Any], findings: Findings) -> None:
    """Keys whose order is the operating system's or ICU's: another version of it may order them otherwise.

    Indexes are built anew on the new server, so only those count that decide which rows may be there, or where."""
    condition = (
        f"EXISTS (SELECT FROM pg_collation c, pg_database d WHERE c.oid = u.oid AND d.datname = current_database()"
        f" AND CASE WHEN c.collprovider = 'd' THEN d.datcollate NOT IN {_FIXED} OR d.datlocprovider = 'i' ELSE"
        f" c.collname NOT IN {_FIXED} AND coalesce(c.collcollate NOT IN {_FIXED}, true) END)"
    )
    indexes, tables = database.query(
        "SELECT count(*) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indisunique AND"
        f" {_own('x.relnamespace')} AND EXISTS (SELECT FROM unnest(i.indcollation::oid[]) u(oid) WHERE {condition});\n"
        f"SELECT count(*) FROM pg_partitioned_table p {_RELATION.format('p.partrelid')} WHERE p.partstrat = 'r' AND"
        f" {_own('o.relnamespace')} AND EXISTS (SELECT FROM unnest(p.partcollation::oid[]) u(oid) WHERE {condition});\n"
    )
    sentence = "{} ordered by the rules of a language"
    for number, kind in ((indexes, "unique indexes are"), (tables, "tables in ranges are")):
        if number:
            findings.add(check["id"], f"database {database.name}", sentence.format(kind), count=number)


def _time_zones(database: Database, check: dict[str, Any], findings: Findings) -> None:
    """Old names of time zones in definitions; those in rows are found where rows are read."""
    zones = checks_zones.missing()
    if not zones:
        return
    for definition in [*database.definitions, *database.expressions]:
        for name, now in checks_zones.in_text(definition.text, zones).items():
            findings.add(check["id"], definition.where, checks_zones.sentence(name, now))


_KINDS: dict[str, Callable[[Database, dict[str, Any], Findings], None]] = {
    "sql_text": _sql_text,
    "postgresql_extensions": _extensions,
    "postgresql_types": _types,
    "postgresql_settings": _settings,
    "postgresql_collations": _collations,
    "postgresql_time_zones": _time_zones,
}


# --- rows ---


class Rows(Protocol):
    """Takes rows as COPY puts them out."""

    def row(self, line: bytes) -> None:
        """One row, its columns parted by tabs."""


def _rows(database: str, checks: list[dict[str, Any]], addresses: list[str], findings: Findings, clock: Clock) -> int:
    """Look through the texts of a database, once for all checks that do; how many tables were read."""
    asking = [check for check in checks if check["kind"] == "old_addresses" and addresses]
    zoned = [check for check in checks if check["kind"] == "postgresql_time_zones"]
    zones = checks_zones.missing() if zoned else {}
    if not asking and not zones:
        return 0
    rows = query(
        "SELECT json_build_array(n.nspname, o.relname, json_agg(a.attname ORDER BY a.attnum)) FROM pg_attribute a"
        f" {_RELATION.format('a.attrelid')} JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.oid ="
        " t.typelem AND t.typlen = -1 WHERE a.attnum > 0 AND NOT a.attisdropped AND o.relkind = 'r' AND"
        f" o.relpersistence <> 't' AND {_own('o.relnamespace')} AND coalesce(e.typnamespace, t.typnamespace) ="
        " 'pg_catalog'::regnamespace AND coalesce(e.typname, t.typname) IN ('text', 'varchar', 'bpchar', 'json',"
        " 'jsonb', 'inet', 'cidr', 'xml') GROUP BY n.nspname, o.relname ORDER BY n.nspname, o.relname;",
        database,
    )
    read = 0
    for schema, table, columns in rows:
        if clock.expired:
            findings.leave(f"There was no time for {len(rows) - read:,} tables of {printable(database)}.")
            break
        shown = _plain(f"{schema}.{table}")
        where = [f"database {database}, table {shown}, column {column}" for column in columns]
        takers: list[Rows] = [_Counter(where, addresses, asking, findings)] if asking else []
        takers += [checks_zones.ZoneRows(check["id"], where, columns, zones, findings) for check in zoned if zones]
        if not _read(database, schema, table, columns, clock, takers):
            findings.leave(f"The table {printable(shown)} of {printable(database)} was not read to its end.")
        read += 1
    return read


class _Counter:
    """Takes rows as COPY puts them out, and notes where an address is in them."""

    def __init__(
        self, where: list[str], addresses: list[str], checks: list[dict[str, Any]], findings: Findings
    ) -> None:
        self.where, self.addresses, self.checks, self.findings = where, tuple(addresses), checks, findings

    def row(self, line: bytes) -> None:
        if next(addresses_in(line, self.addresses), None) is None:
            return
        for where, value in zip(self.where, line.split(b"\t"), strict=True):
            for address in {address for address, _ in addresses_in(value, self.addresses)}:
                for check in self.checks:
                    self.findings.add(check["id"], where, f"names the old address {address}")


def _read(database: str, schema: str, table: str, columns: list[str], clock: Clock, takers: list[Rows]) -> bool:
    """Give the rows of a table to these; whether it was all of them."""
    names = ", ".join(map(ident, columns))
    script = f"COPY {ident(schema)}.{ident(table)} ({names}) TO STDOUT;\n"
    argv = [*AS_POSTGRES, program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", conninfo(database)]
    with tempfile.TemporaryFile() as commands:
        commands.write(script.encode("ascii"))
        commands.seek(0)
        process = subprocess.Popen(
            argv, stdin=commands, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(database)
        )
    assert process.stdout is not None
    timer = threading.Timer(max(1.0, clock.left), process.kill)
    timer.start()
    try:
        whole = True
        while line := process.stdout.readline(_MAX_LINE):
            if not line.endswith(b"\n"):
                whole = False
                process.kill()
                break
            for taker in takers:
                taker.row(line[:-1])
        process.stdout.close()
        return process.wait() == 0 and whole
    finally:
        timer.cancel()
