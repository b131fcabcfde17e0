"""SSH host keys: whether a customer's own server has them again after its reinstall."""

from include.registry.schema.plain import run

revision = "0019"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("ALTER TABLE servers ADD COLUMN keep_host_keys boolean NOT NULL DEFAULT true")
