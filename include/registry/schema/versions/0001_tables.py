"""Tables and indexes."""

from include.registry.schema.plain import function, run

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = r"""
-- What states.py declares; loaded at every upgrade.
CREATE TABLE states (
    subject text NOT NULL,
    state text NOT NULL,
    initial boolean NOT NULL,
    sentence text NOT NULL,
    PRIMARY KEY (subject, state)
);
CREATE TABLE transitions (
    subject text NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (subject, source, target),
    FOREIGN KEY (subject, source) REFERENCES states,
    FOREIGN KEY (subject, target) REFERENCES states
);

CREATE TABLE plans (
    name text PRIMARY KEY CONSTRAINT plans_name CHECK (name ~ '^[[:print:]]{1,64}$'),
    cpus integer NOT NULL,
    memory_bytes bigint NOT NULL,
    disk_bytes bigint NOT NULL,
    -- whether ops let a request for this plan take a larger transit, at no cost for the customer
    larger_transit boolean NOT NULL DEFAULT false,
    CONSTRAINT plans_sizes CHECK (cpus > 0 AND memory_bytes > 0 AND disk_bytes > 0)
);
-- A price holds from its day until the plan's next one.
CREATE TABLE plan_prices (
    plan text NOT NULL REFERENCES plans,
    monthly_price numeric NOT NULL,
    currency text NOT NULL,
    valid_from date NOT NULL,
    PRIMARY KEY (plan, valid_from),
    CONSTRAINT plan_prices_price CHECK (
        monthly_price >= 0 AND monthly_price < 'Infinity' AND currency ~ '^[A-Z]{3}$'
    )
);

CREATE TABLE servers (
    name text PRIMARY KEY,
    kind text NOT NULL,
    plan text NOT NULL REFERENCES plans,
    infrastructure text NOT NULL,
    customer text,
    management_address inet NOT NULL UNIQUE,
    lan_address inet NOT NULL UNIQUE,
    lan_address6 inet NOT NULL UNIQUE,
    state text NOT NULL,
    state_since timestamptz NOT NULL DEFAULT now(),
    host_key text,
    versions jsonb NOT NULL DEFAULT '{}',
    description jsonb,
    described_at timestamptz,
    paused_because text,
    reserved_for text,
    CONSTRAINT servers_name_is_a_label CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT servers_kind CHECK (kind IN ('shared', 'dedicated', 'vps', 'transit')),
    CONSTRAINT servers_customer CHECK ((kind IN ('dedicated', 'vps')) = (customer IS NOT NULL)),
    CONSTRAINT servers_state_fits_kind CHECK (
        (kind = 'transit') = (state IN ('free', 'assigned', 'handed_over', 'wiped'))
    ),
    CONSTRAINT servers_addresses_are_hosts CHECK (
        masklen(management_address) = CASE family(management_address) WHEN 4 THEN 32 ELSE 128 END
        AND family(lan_address) = 4 AND masklen(lan_address) = 32
        AND family(lan_address6) = 6 AND masklen(lan_address6) = 128
    ),
    CONSTRAINT servers_host_key CHECK (host_key ~ '^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$'),
    CONSTRAINT servers_reserved_is_transit CHECK (
        kind = 'transit' OR (paused_because IS NULL AND reserved_for IS NULL)
    )
);

CREATE TABLE accounts (
    name text PRIMARY KEY CONSTRAINT accounts_name CHECK (name ~ '^[a-z][a-z0-9_-]{0,31}$'),
    -- where it lives now, and where it belongs
    server text NOT NULL REFERENCES servers,
    home_server text NOT NULL REFERENCES servers,
    -- the last epoch that was given to a move of this account
    epoch bigint NOT NULL DEFAULT 0 CONSTRAINT accounts_epoch CHECK (epoch >= 0),
    domains text[] NOT NULL DEFAULT '{}',
    description jsonb,
    described_at timestamptz,
    added_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    CONSTRAINT accounts_domains CHECK (are_host_names(domains))
);
CREATE INDEX accounts_server ON accounts (server);
CREATE INDEX accounts_home_server ON accounts (home_server);

CREATE TABLE catalogue (
    name text PRIMARY KEY CONSTRAINT catalogue_name CHECK (name ~ '^[a-z0-9][a-z0-9.-]{0,63}$'),
    kind text NOT NULL
        CONSTRAINT catalogue_kind CHECK (kind IN ('infrastructure', 'postgresql', 'mariadb')),
    from_infrastructure text NOT NULL,
    to_infrastructure text NOT NULL,
    CONSTRAINT catalogue_changes_something CHECK (from_infrastructure <> to_infrastructure)
);

CREATE TABLE migrations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server text NOT NULL REFERENCES servers,
    entry text NOT NULL REFERENCES catalogue,
    from_infrastructure text NOT NULL,
    to_infrastructure text NOT NULL,
    transit text REFERENCES servers,
    run_id text NOT NULL UNIQUE,
    requested_by text NOT NULL,
    state text NOT NULL,
    state_since timestamptz NOT NULL DEFAULT now(),
    began_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT migrations_transit_is_known CHECK (
        transit IS NOT NULL OR state IN ('checking', 'waiting_for_transit', 'failed', 'cancelled')
    ),
    CONSTRAINT migrations_transit_is_another CHECK (transit <> server)
);
CREATE UNIQUE INDEX one_live_migration_a_server ON migrations (server)
    WHERE state NOT IN ('done', 'failed', 'cancelled');
CREATE INDEX migrations_transit ON migrations (transit);

CREATE TABLE transit_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration bigint NOT NULL REFERENCES migrations,
    plan text NOT NULL REFERENCES plans,
    -- the order of the queue: the id, unless ops moved the request up
    rank numeric NOT NULL,
    transit text REFERENCES servers,
    state text NOT NULL,
    state_since timestamptz NOT NULL DEFAULT now(),
    requested_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT transit_requests_transit_is_known CHECK (
        (transit IS NOT NULL) = (state IN ('assigned', 'returned_to_pool'))
    )
);
CREATE UNIQUE INDEX one_live_request_a_migration ON transit_requests (migration)
    WHERE state <> 'cancelled';
CREATE UNIQUE INDEX one_assignment_a_transit ON transit_requests (transit) WHERE state = 'assigned';
CREATE INDEX transit_requests_queue ON transit_requests (rank, id) WHERE state = 'waiting';

-- Read by billing: from the hand-over until the last account has left, or the migration was given up.
CREATE TABLE leases (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration bigint NOT NULL UNIQUE REFERENCES migrations,
    transit text NOT NULL REFERENCES servers,
    server text NOT NULL REFERENCES servers,
    plan text NOT NULL REFERENCES plans,
    handed_over_at timestamptz NOT NULL,
    expected_end_at timestamptz NOT NULL,
    last_account_left_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT leases_times CHECK (
        last_account_left_at >= handed_over_at AND ended_at >= handed_over_at
    )
);
CREATE UNIQUE INDEX one_live_lease_a_transit ON leases (transit) WHERE ended_at IS NULL;

CREATE TABLE moves (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL REFERENCES accounts,
    migration bigint NOT NULL REFERENCES migrations,
    original text NOT NULL REFERENCES servers,
    from_server text NOT NULL REFERENCES servers,
    to_server text NOT NULL REFERENCES servers,
    direction text NOT NULL CONSTRAINT moves_direction CHECK (direction IN ('out', 'home')),
    epoch bigint NOT NULL,
    run_id text NOT NULL UNIQUE,
    requested_by text NOT NULL,
    state text NOT NULL,
    state_since timestamptz NOT NULL DEFAULT now(),
    began_at timestamptz NOT NULL DEFAULT now(),
    committed_at timestamptz,
    ended_at timestamptz,
    figures jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT moves_servers_differ CHECK (from_server <> to_server)
);
CREATE UNIQUE INDEX one_live_move_an_account ON moves (account) WHERE state NOT IN ('done', 'returned');
CREATE UNIQUE INDEX one_live_move_a_server ON moves (original) WHERE state NOT IN ('done', 'returned');
CREATE INDEX moves_migration ON moves (migration);

CREATE TABLE ips (
    address inet PRIMARY KEY,
    home_server text NOT NULL REFERENCES servers,
    routed_to text NOT NULL REFERENCES servers,
    CONSTRAINT ips_are_hosts CHECK (masklen(address) = CASE family(address) WHEN 4 THEN 32 ELSE 128 END)
);
CREATE INDEX ips_home_server ON ips (home_server);

CREATE TABLE names (
    fqdn text NOT NULL CONSTRAINT names_fqdn CHECK (are_host_names(ARRAY[fqdn])),
    type text NOT NULL,
    account text NOT NULL REFERENCES accounts,
    -- what it points at when the account is at home, and what it points at now
    address inet NOT NULL,
    points_at inet NOT NULL,
    ttl integer NOT NULL CONSTRAINT names_ttl CHECK (ttl BETWEEN 1 AND 86400),
    -- when it was last changed: for one TTL from then on caches may still hold the answer before
    pointed_at timestamptz,
    PRIMARY KEY (fqdn, type),
    CONSTRAINT names_type CHECK (
        type IN ('A', 'AAAA')
        AND family(address) = CASE type WHEN 'A' THEN 4 ELSE 6 END
        AND family(points_at) = family(address)
    )
);
CREATE INDEX names_account ON names (account);

CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL CONSTRAINT events_kind CHECK (kind ~ '^[a-z]+([._][a-z]+)*$'),
    migration bigint REFERENCES migrations,
    account text REFERENCES accounts,
    server text REFERENCES servers,
    move bigint REFERENCES moves,
    by text,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_migration ON events (migration, id);
CREATE INDEX events_account ON events (account, id);
"""


def upgrade() -> None:
    function("are_host_names")
    run(TABLES)
