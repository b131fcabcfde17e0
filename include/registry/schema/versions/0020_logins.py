"""Two customers' accounts may have the same login, each on a server of its own."""

from include.registry.schema.plain import run

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

LOGINS = r"""
ALTER TABLE accounts ADD COLUMN login text;
UPDATE accounts SET login = name;
ALTER TABLE accounts
    ALTER COLUMN login SET NOT NULL,
    DROP CONSTRAINT accounts_name,
    ADD CONSTRAINT accounts_login CHECK (login ~ '^[a-z][a-z0-9_-]{0,31}$'),
    -- the login, with the server where it was found behind it when another account has that name
    ADD CONSTRAINT accounts_name CHECK (name = login OR name ~ '^[a-z][a-z0-9_-]{0,31}\.[a-z0-9-]{1,63}$');
CREATE UNIQUE INDEX one_login_a_server ON accounts (server, login) WHERE removed_at IS NULL;
CREATE INDEX accounts_by_login ON accounts (login);
"""


def upgrade() -> None:
    run(LOGINS)
