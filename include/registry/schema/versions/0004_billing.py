"""Billing: calendar, prices a day, ledger, outbox, reminders, exports."""

from include.registry.schema.plain import function, run

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# ISO 4217, by the number of decimals of the minor unit.
CURRENCIES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF"
    " CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD"
    " HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT"
    " MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR"
    " SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU"
    " UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

TABLES = r"""
CREATE TABLE currencies (
    code text PRIMARY KEY,
    minor_digits integer NOT NULL
);

-- Ops' settings. A lease keeps the number of free days that was set when it was handed over.
CREATE TABLE billing_settings (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT billing_settings_only_row CHECK (only_row),
    free_days integer NOT NULL DEFAULT 7 CONSTRAINT billing_settings_free_days CHECK (free_days BETWEEN 0 AND 365)
);
INSERT INTO billing_settings DEFAULT VALUES;
ALTER TABLE leases ADD COLUMN free_days integer NOT NULL DEFAULT billing_free_days()
    CONSTRAINT leases_free_days CHECK (free_days BETWEEN 0 AND 365);

-- The zone in which a date is counted holds from that date until the next zone's.
CREATE TABLE billing_time_zones (
    valid_from date PRIMARY KEY,
    zone text NOT NULL
);

-- Every day that was billed, once; the newest is how far billing has come.
CREATE TABLE billing_days (
    day date PRIMARY KEY,
    charges bigint NOT NULL,
    billed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ledger_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lease bigint NOT NULL REFERENCES leases,
    day date NOT NULL,
    -- 0 is the charge of the lease-day, 1 its first correction, and so on
    number integer NOT NULL,
    kind text NOT NULL,
    amount numeric NOT NULL,
    currency text NOT NULL,
    -- the price in force on that day; none when there is no longer one
    monthly_price numeric,
    reason text,
    corrects bigint REFERENCES ledger_entries,
    entered_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ledger_entries_once UNIQUE (lease, day, number),
    CONSTRAINT ledger_entries_kind CHECK (
        CASE kind
            WHEN 'charge' THEN number = 0 AND corrects IS NULL AND amount >= 0
            WHEN 'correction' THEN number > 0 AND corrects IS NOT NULL AND reason IS NOT NULL
            ELSE false
        END
    )
);

-- What was handed to an accounting system; each export starts where that system's last one ended.
CREATE TABLE ledger_exports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system text NOT NULL CONSTRAINT ledger_exports_system CHECK (system ~ '^[[:print:]]{1,64}$'),
    after_entry bigint NOT NULL,
    through_entry bigint NOT NULL REFERENCES ledger_entries,
    entries bigint NOT NULL,
    exported_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ledger_exports_once UNIQUE (system, after_entry),
    CONSTRAINT ledger_exports_forward CHECK (through_entry > after_entry)
);

-- Facts that changed since they were last compared with the ledger: of one lease, or of every lease of a plan.
CREATE TABLE billing_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lease bigint REFERENCES leases,
    plan text REFERENCES plans,
    CONSTRAINT billing_changes_one CHECK (num_nonnulls(lease, plan) = 1)
);

-- What billing is to believe where the registry's record of a lease was wrong; null leaves it as recorded.
CREATE TABLE lease_corrections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lease bigint NOT NULL REFERENCES leases,
    handed_over_at timestamptz,
    last_account_left_at timestamptz,
    free_days integer CONSTRAINT lease_corrections_free_days CHECK (free_days BETWEEN 0 AND 365),
    reason text NOT NULL CONSTRAINT lease_corrections_reason CHECK (reason <> ''),
    corrected_by text NOT NULL CONSTRAINT lease_corrections_by CHECK (corrected_by <> ''),
    corrected_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT lease_corrections_something
        CHECK (num_nonnulls(handed_over_at, last_account_left_at, free_days) > 0)
);
CREATE INDEX lease_corrections_lease ON lease_corrections (lease);

CREATE TABLE lease_reminders (
    lease bigint NOT NULL REFERENCES leases,
    kind text NOT NULL CONSTRAINT lease_reminders_kind
        CHECK (kind IN ('two_days_left', 'one_day_left', 'free_days_over', 'first_charge')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (lease, kind)
);

-- What is to be told to the host's own systems; `key` is the receiver's idempotency key.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL UNIQUE,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz,
    last_error text
);
CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE delivered_at IS NULL;

ALTER TABLE plan_prices ADD CONSTRAINT plan_prices_currency_fkey FOREIGN KEY (currency) REFERENCES currencies;
"""


def upgrade() -> None:
    function("billing_free_days")
    run(TABLES)
    for digits, codes in CURRENCIES.items():
        run(f"INSERT INTO currencies SELECT unnest('{{{codes.replace(' ', ',')}}}'::text[]), {digits}")
    # Leases that were there before are compared with the (empty) ledger once.
    run("INSERT INTO billing_changes (lease) SELECT id FROM leases")
