"""Reminders on any day: which days they are is a setting."""

from include.registry.schema.plain import run

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

KINDS = r"""
ALTER TABLE lease_reminders
    DROP CONSTRAINT lease_reminders_kind,
    ADD CONSTRAINT lease_reminders_kind CHECK (kind ~ '^(first_charge|free_days_over|[a-z0-9]+_days?_left)$');
ALTER TABLE entry_reminders
    DROP CONSTRAINT entry_reminders_kind,
    ADD CONSTRAINT entry_reminders_kind CHECK (kind ~ '^(opening|end|[0-9]+_days?)$');
"""


def upgrade() -> None:
    run(KINDS)
