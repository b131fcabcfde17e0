"""Rows that are too large for anybody to read as text: PostgreSQL writes no row of 1 GB, and bytea doubles there.

Its own dump ends with an error that names neither the row nor a way out. How large a value is stands beside it, so that
such rows are found without reading any; by the role that has the account's rights alone, as a query is planned.
"""

from __future__ import annotations

from ...account.accounts import Account
from ...host.digest import printable
from ...host.system import refuse
from . import look
from .inventory import USER_SCHEMA
from .sql import ident, kept, literal, name_in_sql

MOST = (1 << 30) - 1000
"""Bytes of a row as text."""
# No compression makes a gigabyte smaller than this.
_LEAST = 2_000_000
# [schema, table, [[column, whether its text is twice as long]]] of those that could hold such a row.
_TABLES = f"""SELECT json_build_array(n.nspname, o.relname, json_agg(json_build_array(a.attname,
 t.typname = 'bytea') ORDER BY a.attnum)) FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
 JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 JOIN pg_type t ON t.oid = a.atttypid AND t.typnamespace = 'pg_catalog'::regnamespace
 AND t.typname IN ('bytea', 'text', 'varchar') WHERE o.relkind = 'r' AND {USER_SCHEMA.format("o.relnamespace")}
 AND o.reltoastrelid <> 0 AND pg_table_size(o.reltoastrelid) > {_LEAST}
 AND has_table_privilege({{role}}, o.oid, 'SELECT') AND has_schema_privilege({{role}}, n.oid, 'USAGE')
 GROUP BY n.nspname, o.relname ORDER BY n.nspname, o.relname;
"""


def refuse_too_large(account: Account, name: str) -> None:
    """Refuse a database that has a row which nobody can read as text; the role that reads is there."""
    for schema, table, columns in kept(name).query(_TABLES.format(role=literal(look.reader_role(account)))):
        parts = [
            f"{2 if doubled else 1} * coalesce(octet_length({ident(column)}), 0)::int8" for column, doubled in columns
        ]
        large = look.read(
            account,
            name,
            f"SELECT json_build_array(ctid::text, {' + '.join(parts)}) FROM ONLY {ident(schema)}.{ident(table)}"
            f" WHERE {' + '.join(parts)} > {MOST} LIMIT 1;\n",
        )
        for place, size in large:
            table_in_sql = f"{name_in_sql(schema)}.{name_in_sql(table)}"
            names = ", ".join(f"octet_length({name_in_sql(column)})" for column, _ in columns)
            refuse(
                "unreadable",
                f"The database {printable(name)} has a row in {table_in_sql} that is {size / 1e9:.1f} GB as text, and"
                " PostgreSQL writes none of 1 GB or more, so no dump can read it (a bytea is twice as long there): look"
                f" at it with SELECT {names} FROM {table_in_sql} WHERE ctid = '{printable(place)}'; keep it in a file"
                " or in parts of less than 500 MB, and test again.",
            )
