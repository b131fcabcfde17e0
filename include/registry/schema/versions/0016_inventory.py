"""The host's inventory: sites, zones, addresses as they are, and plans and servers that the host has no more."""

from include.registry.schema.plain import run

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

INVENTORY = r"""
-- Where servers stand: what is chosen for a server is chosen in its site.
CREATE TABLE sites (
    name text PRIMARY KEY CONSTRAINT sites_name CHECK (name ~ '^[[:print:]]{1,64}$')
);

CREATE TABLE zones (
    name text PRIMARY KEY CONSTRAINT zones_name CHECK (are_host_names(ARRAY[name])),
    -- the name or address of the name server that takes its updates
    primary_server text NOT NULL CONSTRAINT zones_primary CHECK (primary_server ~ '^[0-9a-z.:-]{1,253}$'),
    -- the connection of Airflow's that has the key for them; never the key itself
    key_connection text NOT NULL CONSTRAINT zones_key_connection CHECK (key_connection ~ '^[A-Za-z0-9_.-]{1,200}$')
);

-- What was billed, and a server that was removed, refer to a plan: it is withdrawn, never deleted.
ALTER TABLE plans ADD COLUMN withdrawn_at timestamptz;

ALTER TABLE servers
    ADD COLUMN site text REFERENCES sites,
    ALTER COLUMN lan_address DROP NOT NULL,
    ALTER COLUMN lan_address6 DROP NOT NULL,
    DROP CONSTRAINT servers_management_address_key,
    DROP CONSTRAINT servers_lan_address_key,
    DROP CONSTRAINT servers_lan_address6_key,
    DROP CONSTRAINT servers_state_fits_kind,
    ADD CONSTRAINT servers_state_fits_kind CHECK (
        state = 'removed' OR (kind = 'transit') = (state IN ('free', 'assigned', 'handed_over', 'wiped'))
    );
-- The addresses of a server that was removed are free for others.
CREATE UNIQUE INDEX servers_management_address_key ON servers (management_address) WHERE state <> 'removed';
CREATE UNIQUE INDEX servers_lan_address_key ON servers (lan_address) WHERE state <> 'removed';
CREATE UNIQUE INDEX servers_lan_address6_key ON servers (lan_address6) WHERE state <> 'removed';
"""


def upgrade() -> None:
    run(INVENTORY)
