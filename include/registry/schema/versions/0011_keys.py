"""Keys that come once, and the time of a commit that is the source's.

A registry that is restored from a backup gives its ids again, while the hosts go on knowing what they did under them.
So what hosts call a move or a test has a part that is made up for it, which no other registry, and no other life of
this one, comes to. (An id of the whole registry would come out of the backup with it.)
"""

from include.registry.schema.plain import function, run

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

KEYS = r"""
ALTER TABLE moves ADD COLUMN key text;
ALTER TABLE tests ADD COLUMN key text;
-- Hosts know these by their number alone.
UPDATE moves SET key = 'm' || id;
UPDATE tests SET key = 't' || id;

ALTER TABLE moves
    ALTER COLUMN key SET DEFAULT new_key('m', currval('moves_id_seq')),
    ALTER COLUMN key SET NOT NULL,
    ADD CONSTRAINT moves_key UNIQUE (key);
ALTER TABLE tests
    ALTER COLUMN key SET DEFAULT new_key('t', currval('tests_id_seq')),
    ALTER COLUMN key SET NOT NULL,
    ADD CONSTRAINT tests_key UNIQUE (key);
"""


def upgrade() -> None:
    function("new_key")
    run(KEYS)
