"""The database engines that there are: what an account file says of each. Whoever lists engines goes through these.

An engine is declared here, and done by its store (see `..stores.store.Engine`). The orchestrator reads this list too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..host.system import refuse
from .file_values import bad, mapping, own_name, text


@dataclass(frozen=True)
class Names:
    """One list of an engine in the account file, such as its databases: of texts, or of objects with these `keys`.

    `what`: what people call one; `check` gives it as the account holds it, or refuses it; `told`: as it is told, the
    same for two that the engine takes for one."""

    what: str
    check: Callable[[Any], Any]
    keys: tuple[str, ...] = ()
    told: Callable[[Any], str] = str

    def to_json(self, item: Any) -> Any:
        return dict(zip(self.keys, item, strict=True)) if self.keys else item


@dataclass(frozen=True)
class DeclaredEngine:
    """`title`: what people call it; `release`: how many numbers of its version are a release that a migration leads
    to ("17", "11.8"); `user`: the Unix user that it runs as; `lists`: what the account file says of it, by key;
    databases are under `databases`."""

    name: str
    title: str
    release: int
    user: str
    lists: Mapping[str, Names] = field(hash=False)

    def release_of(self, version: str) -> str:
        """The release that a version belongs to: "11.8" of "11.8.3"."""
        return ".".join(version.split(".")[: self.release])


# --- PostgreSQL ---

_POSTGRES_OWN = frozenset({"postgres", "template0", "template1"})


def _postgres_name(value: Any) -> str:
    name = own_name(value, "PostgreSQL name", 63)
    if name in _POSTGRES_OWN or name.startswith("pg_"):
        bad(f"The PostgreSQL name {name!r} belongs to the server, not to an account.")
    return name


_POSTGRESQL = DeclaredEngine(
    "postgresql",
    "PostgreSQL",
    1,
    "postgres",
    {"roles": Names("PostgreSQL role", _postgres_name), "databases": Names("PostgreSQL database", _postgres_name)},
)

# --- MariaDB ---

_MARIADB_OWN_USERS = frozenset({"root", "mysql", "mariadb.sys", "PUBLIC"})
_MARIADB_OWN_DATABASES = frozenset({"mysql", "information_schema", "performance_schema", "sys"})
# Without "@" and quotes: MariaDB itself writes users as user@host in places, and there is one way to read that.
_MARIADB_HOST = re.compile(r"[A-Za-z0-9._:%/-]{1,255}")


def _mariadb_database(value: Any) -> str:
    name = own_name(value, "MariaDB database", 256)
    if name.lower() in _MARIADB_OWN_DATABASES:
        bad(f"The MariaDB database {name!r} belongs to the server, not to an account.")
    return name


def _mariadb_user(item: Any) -> tuple[str, str]:
    item = mapping(item, "A MariaDB user", ("user", "host"))
    user = text(item.get("user"), "MariaDB user", 320)
    if user in _MARIADB_OWN_USERS:
        bad(f"The MariaDB user {user!r} belongs to the server, not to an account.")
    own_name(user, "MariaDB user", 320)
    host = item.get("host")
    if not isinstance(host, str) or not _MARIADB_HOST.fullmatch(host):
        bad(f"The host {host!r} of the MariaDB user {user!r} must be made of letters, digits and . _ : % / -.")
    return user, host


_MARIADB = DeclaredEngine(
    "mariadb",
    "MariaDB",
    2,
    "mysql",
    {
        "users": Names("MariaDB user", _mariadb_user, ("user", "host"), lambda user: f"{user[0]}@{user[1].lower()}"),
        "databases": Names("MariaDB database", _mariadb_database),
    },
)

DECLARED: tuple[DeclaredEngine, ...] = (_POSTGRESQL, _MARIADB)
ENGINES: tuple[str, ...] = tuple(engine.name for engine in DECLARED)


def declared(name: str) -> DeclaredEngine:
    """The engine of that name."""
    return next(engine for engine in DECLARED if engine.name == name)


def check_engine(value: Any) -> str:
    """The name of a database engine, or a refusal."""
    if value not in ENGINES:
        refuse("bad_engine", f"{value!r:.60} is no database engine; there are {' and '.join(ENGINES)}.")
    return str(value)
