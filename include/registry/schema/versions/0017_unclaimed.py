"""What lives on a server and is no account's, and who has signed for it; since when an account is missing."""

from include.registry.schema.plain import run

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

UNCLAIMED = r"""
CREATE TABLE unclaimed (
    server text NOT NULL REFERENCES servers,
    kind text NOT NULL CONSTRAINT unclaimed_kind CHECK (kind ~ '^[a-z_]{1,40}$'),
    name text NOT NULL CONSTRAINT unclaimed_name CHECK (length(name) BETWEEN 1 AND 500),
    sentence text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    signed_by text,
    reason text CONSTRAINT unclaimed_reason CHECK (reason ~ '\S'),
    signed_at timestamptz,
    PRIMARY KEY (server, kind, name),
    CONSTRAINT unclaimed_signed CHECK (num_nulls(signed_by, reason, signed_at) IN (0, 3))
);
-- Since when its server itself no longer has it.
ALTER TABLE accounts ADD COLUMN missing_since timestamptz;
"""


def upgrade() -> None:
    run(UNCLAIMED)
