"""Tests, the gate, and moves to another server for good: of shared accounts, and of one engine's databases.

Lock order: the account first, then the turn on which servers are chosen. Whoever begins a test or a move locks the
account before it looks for what speaks against it, and takes the turn before it counts what a server has, so two that
begin at once see each other.
"""

from include.registry.schema.plain import run

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = r"""
ALTER TABLE catalogue RENAME COLUMN from_infrastructure TO from_version;
ALTER TABLE catalogue RENAME COLUMN to_infrastructure TO to_version;
ALTER TABLE catalogue
    ADD COLUMN title text,
    ADD COLUMN mandatory boolean NOT NULL DEFAULT false,
    -- days in the host's billing zone
    ADD COLUMN opens date,
    ADD COLUMN deadline date,
    ADD CONSTRAINT catalogue_title CHECK (title <> ''),
    ADD CONSTRAINT catalogue_dates CHECK (opens < deadline),
    ADD CONSTRAINT catalogue_mandatory CHECK (NOT mandatory OR deadline IS NOT NULL);
UPDATE catalogue SET title = name;
ALTER TABLE catalogue ALTER COLUMN title SET NOT NULL;

ALTER TABLE servers
    DROP CONSTRAINT servers_kind,
    ADD CONSTRAINT servers_kind CHECK (kind IN ('shared', 'dedicated', 'vps', 'transit', 'test', 'database')),
    DROP CONSTRAINT servers_reserved_is_transit,
    ADD CONSTRAINT servers_reserved_is_transit CHECK (kind = 'transit' OR reserved_for IS NULL);

-- Whose account it is, where its server has no customer.
ALTER TABLE accounts ADD COLUMN customer text CONSTRAINT accounts_customer CHECK (customer <> '');
CREATE INDEX accounts_customer_index ON accounts (customer);

ALTER TABLE migrations ADD COLUMN lift_gate_because text
    CONSTRAINT migrations_gate_reason CHECK (btrim(lift_gate_because) <> '');

-- An engine's databases that do not live where their account does.
CREATE TABLE account_engines (
    account text NOT NULL REFERENCES accounts,
    engine text NOT NULL CONSTRAINT account_engines_engine CHECK (engine IN ('postgresql', 'mariadb')),
    server text NOT NULL REFERENCES servers,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, engine)
);
CREATE INDEX account_engines_server ON account_engines (server);

CREATE TABLE tests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL REFERENCES accounts,
    entry text NOT NULL REFERENCES catalogue,
    server text NOT NULL REFERENCES servers,
    epoch bigint NOT NULL,
    run_id text NOT NULL UNIQUE,
    requested_by text NOT NULL,
    state text NOT NULL,
    state_since timestamptz NOT NULL DEFAULT now(),
    -- site domain: the name under the test domain that answers for it
    names jsonb NOT NULL DEFAULT '{}',
    expires_at timestamptz,
    report jsonb,
    blockers integer,
    warnings integer,
    failure text,
    began_at timestamptz NOT NULL DEFAULT now(),
    tested_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT tests_ready_expires CHECK (state <> 'ready' OR expires_at IS NOT NULL),
    CONSTRAINT tests_report CHECK (num_nonnulls(report, blockers, warnings, tested_at) IN (0, 4)),
    CONSTRAINT tests_counts CHECK (blockers >= 0 AND warnings >= 0)
);
CREATE UNIQUE INDEX one_live_test_an_account ON tests (account) WHERE state <> 'removed';
CREATE INDEX tests_account ON tests (account, entry, tested_at);
CREATE INDEX tests_server ON tests (server) WHERE state <> 'removed';

ALTER TABLE moves
    ALTER COLUMN migration DROP NOT NULL,
    ADD COLUMN entry text REFERENCES catalogue,
    ADD COLUMN engine text CONSTRAINT moves_engine CHECK (engine IN ('postgresql', 'mariadb')),
    ADD COLUMN lift_gate_because text CONSTRAINT moves_gate_reason CHECK (btrim(lift_gate_because) <> ''),
    DROP CONSTRAINT moves_direction,
    ADD CONSTRAINT moves_direction CHECK (direction IN ('out', 'home', 'over')),
    ADD CONSTRAINT moves_over CHECK (
        CASE direction
            WHEN 'over' THEN migration IS NULL AND entry IS NOT NULL AND original = from_server
            ELSE migration IS NOT NULL AND num_nonnulls(entry, engine, lift_gate_because) = 0
        END
    );
DROP INDEX one_live_move_a_server;
CREATE UNIQUE INDEX one_live_move_a_server ON moves (original)
    WHERE state NOT IN ('done', 'returned') AND direction <> 'over';
CREATE INDEX moves_account ON moves (account);
CREATE INDEX moves_over_from ON moves (from_server) WHERE state NOT IN ('done', 'returned') AND direction = 'over';
CREATE INDEX moves_over_to ON moves (to_server) WHERE state NOT IN ('done', 'returned') AND direction = 'over';
"""


def upgrade() -> None:
    run(TABLES)
