"""Campaigns, reminders of catalogue entries, and where a customer's mail goes."""

from include.registry.schema.plain import run

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

CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON campaigns
    FOR EACH ROW EXECUTE FUNCTION check_transition('campaign');
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON campaign_accounts
    FOR EACH ROW EXECUTE FUNCTION check_transition('campaign_account');
CREATE TRIGGER keep BEFORE DELETE ON campaigns FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TRIGGER keep BEFORE DELETE ON campaign_accounts FOR EACH ROW EXECUTE FUNCTION keep();

CREATE FUNCTION check_campaign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.entry, NEW.run_id, NEW.settings) IS DISTINCT FROM (OLD.entry, OLD.run_id, OLD.settings) THEN
        PERFORM refuse(format('Campaign %s keeps its entry and its settings: stop it and begin another.', NEW.id));
    END IF;
    IF NEW.state <> OLD.state AND NEW.state IN ('done', 'stopped') THEN
        NEW.ended_at := now();
    END IF;
    IF NEW.state <> OLD.state AND NEW.state = 'done' AND EXISTS (
        SELECT FROM campaign_accounts WHERE campaign = NEW.id AND state IN ('waiting', 'testing', 'performing')
    ) THEN
        PERFORM refuse(format('Campaign %s has accounts left: it is done when all of them have ended.', NEW.id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER b_facts BEFORE UPDATE ON campaigns FOR EACH ROW EXECUTE FUNCTION check_campaign();

-- What is paused or stopped begins nothing more; what an account has begun goes on to its end.
CREATE FUNCTION check_campaign_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    state_ text;
BEGIN
    IF (NEW.campaign, NEW.account, NEW.wave) IS DISTINCT FROM (OLD.campaign, OLD.account, OLD.wave) THEN
        PERFORM refuse(format('Account %s keeps its wave of campaign %s: begin another campaign.',
            NEW.account, NEW.campaign));
    END IF;
    IF NEW.state <> OLD.state AND OLD.state = 'waiting' AND NEW.state IN ('testing', 'performing') THEN
        SELECT state INTO state_ FROM campaigns WHERE id = NEW.campaign FOR SHARE;
        IF state_ <> 'running' THEN
            PERFORM refuse(format('Campaign %s is %s: account %s is not begun.', NEW.campaign, state_, NEW.account));
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER b_facts BEFORE UPDATE ON campaign_accounts
    FOR EACH ROW EXECUTE FUNCTION check_campaign_account();

CREATE OR REPLACE FUNCTION check_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.name, NEW.kind, NEW.from_version, NEW.to_version)
        IS DISTINCT FROM (OLD.name, OLD.kind, OLD.from_version, OLD.to_version)
        AND (
            EXISTS (SELECT FROM migrations WHERE entry = OLD.name)
            OR EXISTS (SELECT FROM tests WHERE entry = OLD.name)
            OR EXISTS (SELECT FROM moves WHERE entry = OLD.name)
            OR EXISTS (SELECT FROM campaigns WHERE entry = OLD.name)
        )
    THEN
        PERFORM refuse(format('Catalogue entry %s has been used: give other versions a name of their own.', OLD.name));
    END IF;
    RETURN NEW;
END $$;
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
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON entry_reminders FOR EACH ROW EXECUTE FUNCTION keep();

-- Which way a message goes: to the host's own system, or as mail to the address in its payload ("to").
ALTER TABLE outbox ADD COLUMN channel text NOT NULL DEFAULT 'webhook'
    CONSTRAINT outbox_channel CHECK (channel IN ('webhook', 'mail'));
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (channel, next_attempt_at) WHERE delivered_at IS NULL;
"""


def upgrade() -> None:
    run(CAMPAIGNS)
    run(REMINDERS)
