"""SQL as it is written: `op.execute` would take ':word' for a parameter, and one statement at a time."""

from contextlib import closing

from alembic import op


def run(sql: str) -> None:
    """Run statements in the revision's transaction."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(sql)
