"""What an account's roles, databases, users and grants are, as the other server of a move says it.

The target makes them, and some of it only at the end of the move, after the commit: what is not of its kind must be
refused when it is said. What an engine of another version says besides is kept as it is.
"""

from __future__ import annotations

from ..host.shapes import each, either, flag, holding, maybe, named, number, one_of, record, row, text, tree, whole

_SHORT, _LONG = 1 << 20, 64 << 20
_MOST = 100_000
ANY = tree()
NAME = text(1000)
_TEXT = text(_SHORT)
_LIMIT = whole(-1, (1 << 31) - 1)

# --- PostgreSQL ---
_SETTINGS = each(_TEXT, _MOST)
_POSTGRESQL_ROLE = holding(
    {"rolinherit": flag, "rolcreatedb": flag, "rolcanlogin": flag, "rolconnlimit": _LIMIT}
    | {"rolvaliduntil": maybe(text(100)), "rolpassword": maybe(_TEXT), "comment": maybe(_TEXT)}
    | {"settings": maybe(_SETTINGS), "members": each(row(NAME, flag), _MOST)},
    ANY,
)
_POSTGRESQL_DATABASE = holding(
    {"owner": NAME, "encoding": NAME, "datconnlimit": _LIMIT, "provider": NAME, "collate": NAME, "ctype": NAME}
    | {"locale": maybe(NAME), "rules": maybe(_TEXT), "comment": maybe(_TEXT)}
    | {"settings": each(row(maybe(NAME), _SETTINGS), _MOST)}
    | {"grants": maybe(each(row(maybe(NAME), one_of("CREATE", "CONNECT", "TEMPORARY"), flag), _MOST))},
    ANY,
    schemas=each(row(whole(), NAME, NAME, maybe(_TEXT)), _MOST),
    extensions=each(row(NAME, NAME, NAME), _MOST),
    tables=whole(),
)
POSTGRESQL_ROLES = named(_POSTGRESQL_ROLE, _MOST)
POSTGRESQL_DATABASES = named(_POSTGRESQL_DATABASE, _MOST)
POSTGRESQL_GRANTS = record(
    {"statements": each(text(_LONG), 5_000_000)}
    | {"schemas": each(row(NAME, NAME, NAME, maybe(NAME), one_of("CREATE", "USAGE"), flag), 1_000_000)},
    extensions=each(row(NAME, NAME, NAME, text(40), flag), 1_000_000),
)
LARGE_OBJECT = row(NAME, maybe(_TEXT), maybe(each(row(maybe(NAME), NAME, flag), _MOST)))
"""Its owner, its comment, what is granted on it."""

# --- MariaDB ---
_PRIVILEGE = text(200)
_GRANTS = each(
    either(
        row(one_of("database", "prefix"), NAME, maybe(NAME), maybe(NAME), _PRIVILEGE, flag),
        row(text(40), NAME, NAME, maybe(NAME), _PRIVILEGE, flag),
    ),
    1_000_000,
)
_PLUGIN = {"plugin": maybe(_TEXT), "authentication_string": maybe(_TEXT)}
_KEPT = holding(
    {},
    ANY,
    auth_or=each(holding({}, ANY, **_PLUGIN), 1000),
    ssl_type=whole(),
    **dict.fromkeys(("x509_subject", "x509_issuer", "ssl_cipher", "default_role"), maybe(_TEXT)),
    **dict.fromkeys(("max_questions", "max_updates", "max_connections", "max_statement_time"), number()),
    max_user_connections=whole(-1),
    password_lifetime=_LIMIT,
    **_PLUGIN,
)
"""As mysql.global_priv keeps a user."""
MARIADB = {
    "databases": named(record({"charset": NAME, "collation": NAME, "comment": maybe(_TEXT)}), _MOST),
    "users": each(holding({"user": NAME, "host": NAME, "kept": _KEPT, "locked": flag, "grants": _GRANTS}, ANY), _MOST),
    "roles": each(holding({"name": NAME, "grants": _GRANTS}, ANY), _MOST),
    "given": each(row(NAME, NAME, NAME, flag), _MOST),
    "events": each(row(NAME, NAME), 1_000_000),
}
