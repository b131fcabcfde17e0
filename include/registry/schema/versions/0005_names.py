"""Names: TTLs that are lowered for a while, what caches may still hold, and names that somebody else changed."""

from include.registry.schema.plain import run

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAMES = r"""
-- `ttl` is the one that the name has when nothing moves, `ttl_now` the one in force.
ALTER TABLE names ADD COLUMN ttl_now integer;
UPDATE names SET ttl_now = ttl;
ALTER TABLE names ALTER COLUMN ttl_now SET NOT NULL,
    DROP CONSTRAINT names_ttl,
    ADD CONSTRAINT names_ttl CHECK (ttl BETWEEN 1 AND 604800),
    ADD CONSTRAINT names_ttl_now CHECK (ttl_now BETWEEN 1 AND ttl),
    -- set before the name server is told: from then on a low TTL there is ours, and not the one to remember
    ADD COLUMN lowered boolean NOT NULL DEFAULT false,
    -- why the name does not follow its account: a sentence for the customer
    ADD COLUMN left_because text;

-- Until when a cache that keeps to TTLs may hold an earlier answer, for each address that was one.
CREATE TABLE cached_names (
    fqdn text NOT NULL,
    type text NOT NULL,
    address inet NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (fqdn, type, address),
    FOREIGN KEY (fqdn, type) REFERENCES names ON DELETE CASCADE
);
-- A name that is home was on some transit before: which one was not kept, so no address will be equal to it.
INSERT INTO cached_names
SELECT fqdn, type, CASE points_at WHEN address THEN '::' ELSE address END, pointed_at + make_interval(secs => ttl)
FROM names WHERE pointed_at IS NOT NULL;
ALTER TABLE names DROP COLUMN pointed_at;
"""


def upgrade() -> None:
    run(NAMES)
