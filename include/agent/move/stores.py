"""The stores that an account's data lie in on a server: whatever is done to all of them goes through these."""

from ..stores.files.store import FILES
from ..stores.mariadb.store import MARIADB
from ..stores.postgresql.store import POSTGRESQL
from ..stores.store import Engine, Store

ENGINES: tuple[Engine, ...] = (POSTGRESQL, MARIADB)
STORES: tuple[Store, ...] = (FILES, *ENGINES)


def engine_named(name: str) -> Engine:
    return next(engine for engine in ENGINES if engine.name == name)
