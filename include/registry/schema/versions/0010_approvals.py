"""Approvals: whether a person is asked before an original of a plan is reinstalled."""

from include.registry.schema.plain import run

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("ALTER TABLE plans ADD COLUMN reinstall_needs_approval boolean NOT NULL DEFAULT false")
