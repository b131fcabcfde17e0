"""Engines are rows: the code's list fills them at each upgrade, and no constraint names one."""

from include.registry.schema.plain import run

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ENGINES = r"""
CREATE TABLE engines (
    name text PRIMARY KEY,
    -- how many numbers of a version are a release that a migration leads to
    release_numbers integer NOT NULL
);
-- Those that the constraints have allowed so far.
INSERT INTO engines VALUES ('postgresql', 1), ('mariadb', 2);
ALTER TABLE account_engines
    DROP CONSTRAINT account_engines_engine,
    ADD FOREIGN KEY (engine) REFERENCES engines;
ALTER TABLE moves
    DROP CONSTRAINT moves_engine,
    ADD FOREIGN KEY (engine) REFERENCES engines;
ALTER TABLE catalogue DROP CONSTRAINT catalogue_kind;
"""


def upgrade() -> None:
    run(ENGINES)
