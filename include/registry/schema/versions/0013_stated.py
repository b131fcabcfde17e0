"""What is known of an account's uid and mail, which a server that was taken over could say otherwise."""

from include.registry.schema.plain import run

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("ALTER TABLE accounts ADD COLUMN stated jsonb")
