"""Guards of servers, accounts and IPs were made here: they are in functions/ now."""

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changes no table."""
