"""Never only one copy: the disk that an original had is kept until its accounts are home, and a way leads back from a
transit that died."""

from include.registry.schema.plain import run

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

KEPT = r"""
ALTER TABLE migrations
    -- what the machines call the disk that the original had before it was reinstalled, and when it went
    ADD COLUMN disk_kept text,
    ADD COLUMN disk_discarded_at timestamptz,
    -- why ops took the accounts back from the transit
    ADD COLUMN taken_back_because text CONSTRAINT migrations_taken_back CHECK (btrim(taken_back_because) <> ''),
    ADD CONSTRAINT migrations_disk CHECK (disk_discarded_at IS NULL OR disk_kept IS NOT NULL);
"""


def upgrade() -> None:
    run(KEPT)
