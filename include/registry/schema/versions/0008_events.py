"""Events: whose each one is, and who has read them how far."""

from include.registry.schema.plain import run

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

CUSTOMERS = r"""
ALTER TABLE events ADD COLUMN customer text;
UPDATE events e SET customer = coalesce(
    (
        SELECT coalesce(s.customer, a.customer) FROM accounts a JOIN servers s ON s.name = a.home_server
        WHERE a.name = e.account
    ),
    (SELECT s.customer FROM migrations m JOIN servers s ON s.name = m.server WHERE m.id = e.migration),
    (SELECT s.customer FROM servers s WHERE s.name = e.server)
);
CREATE INDEX events_customer ON events (customer, id);
"""

CURSORS = r"""
-- How far a reader has come, such as the one that announces events to the host's own system.
CREATE TABLE event_cursors (
    name text PRIMARY KEY CONSTRAINT event_cursors_name CHECK (name ~ '^[a-z0-9_.-]{1,64}$'),
    last_event bigint NOT NULL CONSTRAINT event_cursors_last_event CHECK (last_event >= 0)
);
"""


def upgrade() -> None:
    run(CUSTOMERS)
    run(CURSORS)
