"""What the doctor said last of each server, a row for each requirement."""

from include.registry.schema.plain import run

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("""
CREATE TABLE judged_requirements (
    server text NOT NULL REFERENCES servers ON UPDATE CASCADE ON DELETE CASCADE,
    requirement text NOT NULL,
    -- the order in which they are told
    place integer NOT NULL,
    met boolean NOT NULL,
    sentence text NOT NULL,
    judged_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (server, requirement)
);
""")
