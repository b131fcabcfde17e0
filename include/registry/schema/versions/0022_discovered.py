"""Who lives on a server by its own configuration, as it was found last; mailboxes' passwords are not in it."""

from include.registry.schema.plain import run

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("""
CREATE TABLE discoveries (
    server text PRIMARY KEY REFERENCES servers ON UPDATE CASCADE ON DELETE CASCADE,
    -- each with its sites, and what of it cannot go over yet
    accounts jsonb NOT NULL,
    -- what is not understood, or is nobody's
    unclear jsonb NOT NULL,
    discovered_at timestamptz NOT NULL DEFAULT now()
);
""")
