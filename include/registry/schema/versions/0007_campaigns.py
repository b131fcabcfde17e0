"""Campaigns, reminders of catalogue entries, and where a customer's mail goes."""

from include.registry.schema.plain import function, run

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CAMPAIGNS = r"""
CREATE TABLE campaigns (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry text NOT NULL REFERENCES catalogue,
    run_id text NOT NULL UNIQUE,
    requested_by text NOT NULL,
    state text NOT NULL,
    state_since timestamptz NOT NULL DEFAULT now(),
    settings jsonb NOT NULL,
    -- why it is paused or was stopped
    why text,
    began_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT campaigns_settings CHECK (coalesce(
        (settings ->> 'wave_size')::integer >= 1
        AND (settings ->> 'canaries')::integer >= 0
        AND (settings ->> 'most_per_server')::integer BETWEEN 1 AND most_moves_a_server()
        AND (settings ->> 'most_failures_percent')::numeric BETWEEN 0 AND 100
        AND (settings ->> 'longest_wait_seconds')::numeric BETWEEN 0.1 AND 60,
        false
    ))
);
CREATE UNIQUE INDEX one_live_campaign_an_entry ON campaigns (entry) WHERE state IN ('running', 'paused');

CREATE TABLE campaign_accounts (
    campaign bigint NOT NULL REFERENCES campaigns,
    account text NOT NULL REFERENCES accounts,
    -- 1 is the first: the canaries, where there are any
    wave integer NOT NULL CONSTRAINT campaign_accounts_wave CHECK (wave > 0),
    state text NOT NULL,
    state_since timestamptz NOT NULL DEFAULT now(),
    reason text,
    PRIMARY KEY (campaign, account),
    CONSTRAINT campaign_accounts_reason CHECK (
        state NOT IN ('failed', 'left') OR coalesce(btrim(reason), '') <> ''
    )
);
CREATE INDEX campaign_accounts_account ON campaign_accounts (account);
"""

REMINDERS = r"""
CREATE TABLE customers (
    name text PRIMARY KEY CONSTRAINT customers_name CHECK (name <> ''),
    -- where reminders go besides the webhook
    mail text CONSTRAINT customers_mail CHECK (
        length(mail) <= 254 AND mail ~ '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$'
    )
);

CREATE TABLE entry_reminders (
    entry text NOT NULL REFERENCES catalogue,
    account text NOT NULL REFERENCES accounts,
    kind text NOT NULL CONSTRAINT entry_reminders_kind
        CHECK (kind IN ('opening', '30_days', '7_days', '1_day', 'end')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (entry, account, kind)
);

-- Which way a message goes: to the host's own system, or as mail to the address in its payload ("to").
ALTER TABLE outbox ADD COLUMN channel text NOT NULL DEFAULT 'webhook'
    CONSTRAINT outbox_channel CHECK (channel IN ('webhook', 'mail'));
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (channel, next_attempt_at) WHERE delivered_at IS NULL;
"""


def upgrade() -> None:
    function("most_moves_a_server")
    run(CAMPAIGNS)
    run(REMINDERS)
