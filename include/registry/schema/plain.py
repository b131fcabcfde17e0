"""SQL as it is written: `op.execute` would take ':word' for a parameter, and one statement at a time."""

from alembic import op

from include.registry.schema import in_force


def run(sql: str) -> None:
    """Run statements in the revision's transaction."""
    with op.get_bind().connection.cursor() as cursor:
        cursor.execute(sql)


def function(name: str) -> None:
    """Make a function that the revision's tables stand on, from its file."""
    with op.get_bind().connection.cursor() as cursor:
        in_force.make_function(cursor, in_force.files("functions")[name])
