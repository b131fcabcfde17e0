"""Servers: whether a customer's own has its SSH host keys again after its reinstall; a shared one that was given up."""

from include.registry.schema.plain import run

revision = "0019"
down_revision = "0017"
branch_labels = None
depends_on = None

SERVERS = r"""
ALTER TABLE servers
    ADD COLUMN keep_host_keys boolean NOT NULL DEFAULT true,
    DROP CONSTRAINT servers_state_fits_kind,
    ADD CONSTRAINT servers_state_fits_kind CHECK (state = 'removed' OR CASE kind
        WHEN 'transit' THEN state NOT IN ('serving', 'reinstalling')
        WHEN 'shared' THEN state IN ('serving', 'reinstalling', 'wiped')
        ELSE state IN ('serving', 'reinstalling')
    END);
"""


def upgrade() -> None:
    run(SERVERS)
