"""Guards of migrations, leases and moves were made here: they are in functions/ now."""

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changes no table."""
