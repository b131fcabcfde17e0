"""Billing: calendar, prices a day, ledger, outbox, reminders, exports."""

from include.registry.schema.plain import run

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
CREATE FUNCTION billing_free_days() RETURNS integer LANGUAGE sql STABLE
    AS 'SELECT free_days FROM billing_settings';
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
"""

# A SET keeps a function from being inlined, so that its ROWS, and not generate_series' thousand, goes into plans.
FUNCTIONS = r"""
-- The clock of billing. A lab moves it: ALTER DATABASE ... SET transhumance.clock_offset = '9 days'.
CREATE FUNCTION billing_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT now() + coalesce(nullif(current_setting('transhumance.clock_offset', true), '')::interval, '0')
$$;

-- The first instant of a date in a zone. Where midnight comes twice PostgreSQL takes the second; where clocks
-- skip it, the first instant after the gap is meant, which PostgreSQL gives.
CREATE FUNCTION billing_day_begins(day date, zone text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN earlier AT TIME ZONE zone = day::timestamp THEN least(earlier, late) ELSE late END
    FROM (SELECT day::timestamp AT TIME ZONE zone AS late) l
    CROSS JOIN LATERAL (SELECT late - interval '6 hours' AS before) b
    CROSS JOIN LATERAL (
        SELECT day::timestamp AT TIME ZONE 'UTC'
            - (before AT TIME ZONE zone - before AT TIME ZONE 'UTC') AS earlier
    ) e
$$;

-- The days from `first` through `last`: each begins where the one before ends, also where the zone changes.
CREATE FUNCTION billing_calendar(first date, last date)
RETURNS TABLE (day date, begins timestamptz, ends timestamptz) LANGUAGE sql STABLE ROWS 8 SET jit = off AS $$
    SELECT t.day, t.begins, t.ends
    FROM (
        SELECT d.day, billing_day_begins(d.day, z.zone) AS begins,
            lead(billing_day_begins(d.day, z.zone)) OVER (ORDER BY d.day) AS ends
        FROM (SELECT first + i AS day FROM generate_series(0, last - first + 1) i) d
        CROSS JOIN LATERAL (
            SELECT zone FROM billing_time_zones WHERE valid_from <= d.day ORDER BY valid_from DESC LIMIT 1
        ) z
    ) t
    WHERE t.day <= last
$$;

-- The date of an instant.
CREATE FUNCTION billing_date_of(instant timestamptz) RETURNS date LANGUAGE sql STABLE AS $$
    SELECT day
    FROM billing_calendar((instant AT TIME ZONE 'UTC')::date - 2, (instant AT TIME ZONE 'UTC')::date + 2)
    WHERE begins <= instant AND instant < ends
$$;

-- From when until when each zone is in force.
CREATE VIEW billing_zone_spans AS
SELECT zone,
    CASE WHEN lag(zone) OVER w IS NULL THEN '-infinity' ELSE billing_day_begins(valid_from, zone) END AS begins,
    coalesce(lead(billing_day_begins(valid_from, zone)) OVER w, 'infinity') AS ends
FROM billing_time_zones
WINDOW w AS (ORDER BY valid_from);

-- A lease as billing sees it. The free days end at the wall-clock time of the hand-over, in the zone that was
-- in force then: what the customer was told stays true when the host changes its zone.
CREATE VIEW billing_leases AS
SELECT f.id, f.migration, f.server, f.transit, f.plan, f.handed_over_at, f.free_days, f.billed_until,
    (f.handed_over_at AT TIME ZONE z.zone)::date AS handed_over_on,
    (f.handed_over_at AT TIME ZONE z.zone + f.free_days * interval '1 day') AT TIME ZONE z.zone AS free_until
FROM (
    SELECT l.id, l.migration, l.server, l.transit, l.plan,
        coalesce(c.handed_over_at, l.handed_over_at) AS handed_over_at,
        coalesce(c.free_days, l.free_days) AS free_days,
        least(coalesce(c.last_account_left_at, l.last_account_left_at), l.ended_at) AS billed_until
    FROM leases l
    LEFT JOIN (
        SELECT lease,
            (array_agg(handed_over_at ORDER BY id DESC) FILTER (WHERE handed_over_at IS NOT NULL))[1]
                AS handed_over_at,
            (array_agg(last_account_left_at ORDER BY id DESC) FILTER (WHERE last_account_left_at IS NOT NULL))[1]
                AS last_account_left_at,
            (array_agg(free_days ORDER BY id DESC) FILTER (WHERE free_days IS NOT NULL))[1] AS free_days
        FROM lease_corrections GROUP BY lease
    ) c ON c.lease = l.id
) f
JOIN billing_zone_spans z ON f.handed_over_at >= z.begins AND f.handed_over_at < z.ends;

-- total / parts, rounded half up to `digits` decimals, without an inexact quotient in between.
CREATE FUNCTION billing_share(total numeric, parts integer, digits integer) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
    SELECT round(
        div(2 * total * power(10::numeric, digits) + parts, 2 * parts) / power(10::numeric, digits), digits
    )
$$;

-- What one day costs, for every plan: the rounded sum of the month's shares up to the day, less the rounded sum
-- up to the day before. Only plan prices and the date go in.
CREATE FUNCTION billing_prices(first date, last date)
RETURNS TABLE (plan text, day date, monthly_price numeric, currency text, amount numeric)
LANGUAGE sql STABLE ROWS 80 SET jit = off AS $$
    SELECT m.plan, m.day, m.monthly_price, m.currency,
        billing_share(m.total, m.month_days, m.minor_digits)
        - billing_share(m.total - m.monthly_price, m.month_days, m.minor_digits)
    FROM (
        SELECT s.name AS plan, d.day, p.monthly_price, p.currency, c.minor_digits,
            extract(day FROM date_trunc('month', d.day) + interval '1 month - 1 day')::integer AS month_days,
            sum(p.monthly_price) OVER (
                PARTITION BY s.name, p.currency, date_trunc('month', d.day) ORDER BY d.day
            ) AS total
        FROM (
            SELECT date_trunc('month', first)::date + i AS day
            FROM generate_series(0, last - date_trunc('month', first)::date) i
        ) d
        CROSS JOIN plans s
        CROSS JOIN LATERAL (
            SELECT q.monthly_price, q.currency FROM plan_prices q
            WHERE q.plan = s.name AND q.valid_from <= d.day ORDER BY q.valid_from DESC LIMIT 1
        ) p
        JOIN currencies c ON c.code = p.currency
    ) m
    WHERE m.day >= first
$$;
"""

GUARDS = r"""
ALTER TABLE plan_prices ADD CONSTRAINT plan_prices_currency_fkey FOREIGN KEY (currency) REFERENCES currencies;

CREATE FUNCTION billing_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: correct it by a new row.', TG_TABLE_NAME USING ERRCODE = 'TH001';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_exports
    EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_days
    EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_time_zones
    EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON lease_corrections
    EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON lease_reminders
    EXECUTE FUNCTION billing_append_only();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON outbox EXECUTE FUNCTION billing_append_only();

CREATE FUNCTION outbox_message_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A message of the outbox keeps its key, kind and payload: write a new one.'
        USING ERRCODE = 'TH001';
END $$;
CREATE TRIGGER message_stays BEFORE UPDATE OF id, key, kind, payload, created_at ON outbox
    EXECUTE FUNCTION outbox_message_stays();

-- One writer at a time: ids are in the order of commits, so a reader that remembers the last id misses nothing.
CREATE FUNCTION billing_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7203002);
    RETURN NULL;
END $$;
CREATE TRIGGER one_writer BEFORE INSERT ON ledger_entries EXECUTE FUNCTION billing_lock();

CREATE FUNCTION billing_time_zone_is_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7203002);
    IF NOT EXISTS (SELECT FROM pg_timezone_names WHERE name = NEW.zone) THEN
        RAISE EXCEPTION 'The database knows no time zone %: give an IANA name such as Europe/Paris.', NEW.zone
            USING ERRCODE = 'TH001';
    END IF;
    IF EXISTS (SELECT FROM billing_time_zones WHERE valid_from >= NEW.valid_from)
        OR EXISTS (SELECT FROM billing_days WHERE day >= NEW.valid_from)
    THEN
        RAISE EXCEPTION 'A time zone cannot change for days that are billed or have a later zone: '
            'choose a later day than %.', NEW.valid_from USING ERRCODE = 'TH001';
    END IF;
    IF (
        SELECT billing_day_begins(NEW.valid_from, NEW.zone) <= c.begins
        FROM billing_calendar(NEW.valid_from - 1, NEW.valid_from - 1) c
    ) THEN
        RAISE EXCEPTION 'The change to % would leave the day before no hour: change by way of a zone between.',
            NEW.zone USING ERRCODE = 'TH001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER is_new BEFORE INSERT ON billing_time_zones FOR EACH ROW EXECUTE FUNCTION billing_time_zone_is_new();

CREATE FUNCTION plan_price_fits_currency() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF scale(trim_scale(NEW.monthly_price)) > (SELECT minor_digits FROM currencies WHERE code = NEW.currency) THEN
        RAISE EXCEPTION 'A price of % has more decimals than % has: round it.', NEW.monthly_price, NEW.currency
            USING ERRCODE = 'TH001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fits_currency BEFORE INSERT OR UPDATE ON plan_prices
    FOR EACH ROW EXECUTE FUNCTION plan_price_fits_currency();

CREATE FUNCTION billing_notes_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_changes (plan)
    SELECT DISTINCT p FROM unnest(ARRAY[NEW.plan, OLD.plan]) p WHERE p IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_notes AFTER INSERT OR UPDATE OR DELETE ON plan_prices
    FOR EACH ROW EXECUTE FUNCTION billing_notes_price();

CREATE FUNCTION billing_notes_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_changes (lease) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER billing_notes AFTER INSERT OR UPDATE OF handed_over_at, last_account_left_at, ended_at, plan ON leases
    FOR EACH ROW EXECUTE FUNCTION billing_notes_lease();

CREATE FUNCTION billing_notes_correction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_changes (lease) VALUES (NEW.lease);
    RETURN NULL;
END $$;
CREATE TRIGGER billing_notes AFTER INSERT ON lease_corrections
    FOR EACH ROW EXECUTE FUNCTION billing_notes_correction();

CREATE FUNCTION lease_free_days_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The free days of lease % were fixed at its hand-over: enter a correction of the lease.', OLD.id
        USING ERRCODE = 'TH001';
END $$;
CREATE TRIGGER free_days_stay BEFORE UPDATE ON leases FOR EACH ROW
    WHEN (NEW.free_days <> OLD.free_days) EXECUTE FUNCTION lease_free_days_stay();
"""


def upgrade() -> None:
    run(TABLES)
    for digits, codes in CURRENCIES.items():
        run(f"INSERT INTO currencies SELECT unnest('{{{codes.replace(' ', ',')}}}'::text[]), {digits}")
    run(FUNCTIONS)
    run(GUARDS)
    # Leases that were there before are compared with the (empty) ledger once.
    run("INSERT INTO billing_changes (lease) SELECT id FROM leases")
