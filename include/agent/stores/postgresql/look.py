"""What one side of a followed database says about the rows that changed, its definitions, sequences and large objects.

Both sides answer the same question with the same code. A customer's tables and sequences are read by a role that is a
member of the account's roles and of nothing else, in read-only transactions: planning a query may run their functions.
"""

from __future__ import annotations

import secrets
from typing import Any

from ...account.accounts import Account
from ...host import ours
from ...host.digest import printable
from ...host.system import refuse, write_durably
from . import digest, fingerprint, inventory
from .extensions import CARRIED, EXTENSIONS
from .sql import OVER, execute, ident, kept, literal, literals, unbound

Login = tuple[str, str]
_BATCH = 2000  # keys that one statement asks for
_WIDE = 90  # columns that one call of format() takes


def reader_role(account: Account) -> str:
    return f"th_read_{account.name}"


def reader(account: Account) -> Login:
    """The role that reads the account's data here, made when there is none, and its password."""
    path = account.directory / "postgres.reader"
    if not path.exists():
        account.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, secrets.token_urlsafe(24))
    return reader_role(account), path.read_text()


def make_reader(account: Account) -> None:
    """BYPASSRLS reaches no further than the tables that the account's roles may read, and those are the account's."""
    name, password = reader(account)
    execute(make_role(name, f"LOGIN INHERIT BYPASSRLS PASSWORD {literal(password)} {OVER}", account))


def read(account: Account, name: str, script: str) -> list[Any]:
    """What queries on a customer's relations give: what runs with them writes nothing, and leaves the session as it
    was. That a session is read-only by default could be changed by what runs in it."""
    text = f"BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;\n{script}ROLLBACK;\nDISCARD ALL;\n"
    return kept(name, reader(account)).query(text)


def make_role(name: str, options: str, account: Account) -> list[str]:
    """Statements that make, or make anew what it may, a role of ours that is a member of the account's roles alone."""
    made = f"{'ALTER' if is_there(name) else 'CREATE'} ROLE {ident(name)} WITH {options}"
    made += f" CONNECTION LIMIT {ours.mark(name)}"
    member = [f"GRANT {ident(role)} TO {ident(name)}" for role in account.postgresql_roles]
    return [made, *unbound(name, account.postgresql_databases), *member]


def is_there(name: str) -> bool:
    """Whether a role of ours is there; refused when one of that name is somebody else's."""
    limits = kept().query(f"SELECT rolconnlimit FROM pg_roles WHERE rolname = {literal(name)};")
    if limits and limits[0] != ours.mark(name):
        ours.refuse_taken("PostgreSQL role", name)
    return bool(limits)


def look(account: Account, name: str, question: dict[str, Any]) -> dict[str, Any]:
    """{"changed": [names], "sequences", "rows": {table: [hash of each key's row]}, "whole": {table: [rows, sum]}}.

    `changed` is what was defined otherwise since this side's copy was proven equal. `question`: {"keys": {table:
    {"schema", "table", "columns", "keys"}}, "whole": [[schema, table]]}. With "large" in it, {"large": {oid: hash}} is
    answered too."""
    kept(name, reader(account))  # opened in any case: in a hold nobody gets in any more
    answer: dict[str, Any] = {
        "changed": fingerprint.changed(account, name),
        "sequences": sequences(account, name),
        **_rows(account, name, question),
    }
    if question.get("large"):
        each_large = inventory.of_roles(digest.EACH_LARGE_OBJECT, account.postgresql_roles)
        answer["large"] = dict(kept(name).query(each_large))
    return answer


_SEQUENCES = (
    f"SELECT json_build_array(n.nspname, o.relname, CASE WHEN {EXTENSIONS.format('o.oid')} THEN"
    " json_build_array(coalesce(pg_sequence_last_value(o.oid), s.seqstart), pg_sequence_last_value(o.oid) IS NOT NULL)"
    " END) FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace JOIN pg_sequence s ON s.seqrelid = o.oid"
    f" WHERE o.relkind = 'S' AND o.relpersistence <> 't' AND {CARRIED.format('o.oid')}"
    " ORDER BY 1::text;\n"
)


def sequences(account: Account, name: str) -> list[list[Any]]:
    """[schema, name, last value, is called] of each sequence."""
    listed = kept(name).query(_SEQUENCES)
    own = [sequence for *sequence, of_extension in listed if not of_extension]
    values = read(account, name, values_of(own)) if own else []
    # The account may have no right to read an extension's, of which the catalogue tells enough.
    of_extensions = [[*sequence, *of_extension] for *sequence, of_extension in listed if of_extension]
    return [
        *([*sequence, value, called] for sequence, (value, called) in zip(own, values, strict=True)),
        *of_extensions,
    ]


def values_of(sequences: list[list[str]]) -> str:
    """A query for [last value, is called] of each of these, [schema, name]."""
    schemas, names = (literals(part) for part in zip(*sequences, strict=True))
    return _VALUES.format(schemas=schemas, sequences=names)


# Each is read by a query of its own: one query of thousands of parts is planned for minutes, or not at all.
_VALUES = """SELECT json_build_array(substring(x FROM '<last_value>(-?[0-9]+)<')::int8,
 substring(x FROM '<is_called>(true|false)<')::bool) FROM (SELECT n, query_to_xml(format('SELECT last_value, is_called
 FROM %I.%I', s, c), false, false, '')::text AS x FROM unnest({schemas}, {sequences}) WITH ORDINALITY u(s, c, n)) v
 ORDER BY n;
"""


_COLUMNS = """SELECT json_build_array(n.nspname, c.relname, a.attname, s.nspname, t.typname, a.attgenerated,
 (SELECT json_build_array(os.nspname, op.oprname) FROM pg_index i CROSS JOIN unnest(i.indkey::int2[], i.indclass::oid[])
  AS k(n, class) JOIN pg_opclass oc ON oc.oid = k.class JOIN pg_amop e ON e.amopfamily = oc.opcfamily AND e.amopstrategy
  = 3 AND e.amoplefttype = oc.opcintype AND e.amoprighttype = oc.opcintype JOIN pg_am m ON m.oid = oc.opcmethod AND
  m.amname = 'btree' JOIN pg_operator op ON op.oid = e.amopopr JOIN pg_namespace os ON os.oid = op.oprnamespace
  WHERE i.indrelid = c.oid AND i.indisvalid AND i.indisunique AND k.n = a.attnum
  ORDER BY i.indisreplident DESC, i.indisprimary DESC LIMIT 1))
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 LEFT JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_namespace s ON s.oid = t.typnamespace
 WHERE n.nspname = ANY({schemas}) AND c.relname = ANY({tables}) AND c.relkind IN ('r', 'm')
 ORDER BY a.attname COLLATE "C";
"""


def _rows(account: Account, name: str, question: dict[str, Any]) -> dict[str, Any]:
    """{"rows": {table: [hash of each key's row]}, "whole": {table: [rows, sum of their hashes]}}."""
    rows: dict[str, list[str | None]] = {}
    whole: dict[str, list[Any]] = {}
    asked = [[table["schema"], table["table"]] for table in question["keys"].values()] + question["whole"]
    if not asked:
        return {"rows": rows, "whole": whole}
    columns = _columns(name, asked)
    script: list[str] = []
    answers: list[tuple[list[Any], int]] = []
    for shown, table in question["keys"].items():
        keys = table["keys"]
        rows[shown] = [None] * len(keys)
        types = columns.get((table["schema"], table["table"]), {})
        if set(table["columns"]) <= set(types):  # or it is another table now, which `changed` tells
            for start in range(0, len(keys), _BATCH):
                script.append(_select(len(answers), table, types, keys[start : start + _BATCH]))
                answers.append((rows[shown], start - 1))
    for schema, table in question["whole"]:
        shown = digest.shown(schema, table)
        if (schema, table) in columns:
            script.append(_sum(len(answers), schema, table, columns[schema, table]))
            answers.append((whole.setdefault(shown, [None]), 0))
    for number, position, hashed in read(account, name, "".join(script)):
        answer, first = answers[number]
        answer[first + position] = hashed
    return {"rows": rows, "whole": {shown: hashed for shown, (hashed,) in whole.items()}}


Columns = dict[str, tuple[str, str, str]]  # type, kind of generation and the key's operator `=`, by name


def _columns(name: str, tables: list[list[str]]) -> dict[tuple[str, str], Columns]:
    statement = _COLUMNS.format(schemas=literals(schema for schema, _ in tables), tables=literals(t for _, t in tables))
    columns: dict[tuple[str, str], Columns] = {}
    for schema, table, column, type_schema, kind, generated, equal in kept(name).query(statement):
        types = columns.setdefault((schema, table), {})
        if column is not None:
            # A type's operators are not in pg_catalog when an extension brought it.
            operator_schema, sign = equal or ("pg_catalog", "=")
            operator = f"OPERATOR({ident(operator_schema)}.{_sign(sign)})"
            types[column] = (f"{ident(type_schema)}.{ident(kind)}", generated, operator)
    return columns


def _sign(sign: str) -> str:
    """The name of an operator, which cannot be quoted."""
    if not sign or set(sign) - set("+-*/<>=~!@#%^&|`?"):
        refuse("bad_name", f"The operator {printable(sign)} has a name that is none.")
    return sign


def _text(types: Columns) -> str:
    """An expression for a row as text: columns by their own output functions, but for generated ones."""
    plain = [f"t.{ident(column)}" for column, (_, generated, _) in types.items() if not generated]
    parts = [plain[start : start + _WIDE] for start in range(0, len(plain), _WIDE)]
    return " || ".join(f"format('{'%L,' * len(part)}', {', '.join(part)})" for part in parts) or "''"


def _select(number: int, table: dict[str, Any], types: Columns, keys: list[list[str]]) -> str:
    """A query for [number, position of the key from 1, hash of its row]."""
    names = [f"k{position}" for position in range(len(table["columns"]))]
    arrays = ", ".join(literals(key[position] for key in keys) for position in range(len(names)))
    same = " AND ".join(
        f"t.{ident(column)} {types[column][2]} k.{name}::{types[column][0]}"
        for column, name in zip(table["columns"], names, strict=True)
    )
    return (
        f"SELECT json_build_array({number}, k.n, md5({_text(types)})) FROM unnest({arrays}) WITH ORDINALITY"
        f" AS k({', '.join(names)}, n) JOIN ONLY {ident(table['schema'])}.{ident(table['table'])} t ON {same};\n"
    )


def _sum(number: int, schema: str, table: str, types: Columns) -> str:
    """A query for [number, 0, [rows, sum of their hashes]] of a whole table."""
    return (
        f"SELECT json_build_array({number}, 0, json_build_array(count(*), sum(hashtextextended({_text(types)}, 0))))"
        f" FROM ONLY {ident(schema)}.{ident(table)} t;\n"
    )
