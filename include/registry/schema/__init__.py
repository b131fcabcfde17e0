"""The registry's schema: Alembic revisions in `versions/`, brought up to date by `upgrade`."""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, pool

# Any number: two upgrades at once take turns on it.
_UPGRADE_LOCK = 7_203_100


def upgrade(dsn: str) -> None:
    """Bring the database at the libpq connection string `dsn` to the newest revision, in one transaction.
    Can be repeated; two at once take turns."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=pool.NullPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
