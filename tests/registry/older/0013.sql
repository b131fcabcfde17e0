--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: account_bytes(jsonb, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.account_bytes(description jsonb, kind text) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT (
        CASE kind WHEN 'infrastructure' THEN coalesce((description ->> 'home_bytes')::bigint, 0) ELSE 0 END
        + coalesce((
            SELECT sum((d ->> 'bytes')::bigint)
            FROM unnest(ARRAY['postgresql', 'mariadb']) AS engine,
                jsonb_array_elements(coalesce(description -> engine -> 'databases', '[]')) AS d
            WHERE kind IN ('infrastructure', engine)
        ), 0)
    )::bigint
$$;


--
-- Name: account_runs(text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.account_runs(account_ text, kind_ text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT version_of(s.infrastructure, s.versions, kind_)
    FROM accounts a
        LEFT JOIN account_engines e ON e.account = a.name AND e.engine = kind_
        JOIN servers s ON s.name = coalesce(e.server, a.server)
    WHERE a.name = account_
$$;


--
-- Name: are_host_names(text[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.are_host_names(names text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $_$
    SELECT coalesce(bool_and(
        name IS NOT NULL AND length(name) <= 253
        AND name ~ '^([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'
    ), true) FROM unnest(names) AS name
$_$;


--
-- Name: billing_append_only(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: correct it by a new row.', TG_TABLE_NAME USING ERRCODE = 'TH001';
END $$;


--
-- Name: billing_calendar(date, date); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_calendar(first date, last date) RETURNS TABLE(day date, begins timestamp with time zone, ends timestamp with time zone)
    LANGUAGE sql STABLE ROWS 8
    SET jit TO 'off'
    AS $$
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


--
-- Name: billing_date_of(timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_date_of(instant timestamp with time zone) RETURNS date
    LANGUAGE sql STABLE
    AS $$
    SELECT day
    FROM billing_calendar((instant AT TIME ZONE 'UTC')::date - 2, (instant AT TIME ZONE 'UTC')::date + 2)
    WHERE begins <= instant AND instant < ends
$$;


--
-- Name: billing_day_begins(date, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_day_begins(day date, zone text) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE WHEN earlier AT TIME ZONE zone = day::timestamp THEN least(earlier, late) ELSE late END
    FROM (SELECT day::timestamp AT TIME ZONE zone AS late) l
    CROSS JOIN LATERAL (SELECT late - interval '6 hours' AS before) b
    CROSS JOIN LATERAL (
        SELECT day::timestamp AT TIME ZONE 'UTC'
            - (before AT TIME ZONE zone - before AT TIME ZONE 'UTC') AS earlier
    ) e
$$;


--
-- Name: billing_free_days(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_free_days() RETURNS integer
    LANGUAGE sql STABLE
    AS $$SELECT free_days FROM billing_settings$$;


--
-- Name: billing_lock(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_lock() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7203002);
    RETURN NULL;
END $$;


--
-- Name: billing_notes_correction(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_notes_correction() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO billing_changes (lease) VALUES (NEW.lease);
    RETURN NULL;
END $$;


--
-- Name: billing_notes_lease(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_notes_lease() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO billing_changes (lease) VALUES (NEW.id);
    RETURN NULL;
END $$;


--
-- Name: billing_notes_price(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_notes_price() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO billing_changes (plan)
    SELECT DISTINCT p FROM unnest(ARRAY[NEW.plan, OLD.plan]) p WHERE p IS NOT NULL;
    RETURN NULL;
END $$;


--
-- Name: billing_now(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_now() RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
    SELECT now() + coalesce(nullif(current_setting('transhumance.clock_offset', true), '')::interval, '0')
$$;


--
-- Name: billing_prices(date, date); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_prices(first date, last date) RETURNS TABLE(plan text, day date, monthly_price numeric, currency text, amount numeric)
    LANGUAGE sql STABLE ROWS 80
    SET jit TO 'off'
    AS $$
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


--
-- Name: billing_share(numeric, integer, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_share(total numeric, parts integer, digits integer) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT round(
        div(2 * total * power(10::numeric, digits) + parts, 2 * parts) / power(10::numeric, digits), digits
    )
$$;


--
-- Name: billing_time_zone_is_new(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.billing_time_zone_is_new() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: call_listeners(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.call_listeners() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify('events', '');
    RETURN NULL;
END $$;


--
-- Name: check_account(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_account() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    on_ servers;
    lent boolean;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.epoch < OLD.epoch THEN
            PERFORM refuse(format('The epoch of account %s is %s and only grows: %s was refused.',
                NEW.name, OLD.epoch, NEW.epoch));
        END IF;
        IF NEW.server <> OLD.server AND NOT EXISTS (
            SELECT FROM moves WHERE account = NEW.name AND from_server = OLD.server AND to_server = NEW.server
                AND engine IS NULL AND state = 'committed'
        ) AND NOT EXISTS (
            SELECT FROM migrations WHERE server = NEW.server AND transit = OLD.server
                AND taken_back_because IS NOT NULL AND state NOT IN ('done', 'failed', 'cancelled')
        ) THEN
            PERFORM refuse(format('Account %s lives on %s until a move commits: move it to %s.',
                NEW.name, OLD.server, NEW.server));
        END IF;
        IF NEW.home_server <> OLD.home_server THEN
            IF EXISTS (
                SELECT FROM migrations WHERE server IN (NEW.home_server, OLD.home_server)
                    AND state NOT IN ('done', 'failed', 'cancelled')
            ) THEN
                PERFORM refuse(format('The home of account %s cannot change while its server is migrated: wait.',
                    NEW.name));
            END IF;
            IF NOT EXISTS (
                SELECT FROM moves WHERE account = NEW.name AND direction = 'over' AND engine IS NULL
                    AND from_server = OLD.home_server AND to_server = NEW.home_server AND state = 'committed'
            ) THEN
                PERFORM refuse(format('Account %s belongs to %s until it is moved over to another server: move it.',
                    NEW.name, OLD.home_server));
            END IF;
        END IF;
        IF NEW.removed_at IS NOT NULL AND OLD.removed_at IS NULL AND EXISTS (
            SELECT FROM moves WHERE account = NEW.name AND state NOT IN ('done', 'returned')
        ) THEN
            PERFORM refuse(format('Account %s is being moved: remove it when the move has ended.', NEW.name));
        END IF;
    END IF;
    IF NEW.removed_at IS NULL
        AND (TG_OP = 'INSERT' OR NEW.server <> OLD.server OR OLD.removed_at IS NOT NULL)
    THEN
        -- The locks make a migration's and a server's state wait for this account, or this account for them.
        PERFORM FROM migrations WHERE transit = NEW.server AND server = NEW.home_server
            AND state NOT IN ('done', 'failed', 'cancelled') FOR SHARE;
        lent := FOUND;
        SELECT * INTO on_ FROM servers WHERE name = NEW.server FOR SHARE;
        IF on_.state NOT IN ('serving', 'handed_over') THEN
            PERFORM refuse(format('Server %s is %s: no account can live on it.', on_.name, on_.state));
        END IF;
        IF on_.kind = 'transit' AND NOT lent THEN
            PERFORM refuse(format('Transit %s is not lent to server %s: account %s cannot live on it.',
                on_.name, NEW.home_server, NEW.name));
        END IF;
    END IF;
    RETURN NEW;
END $$;


--
-- Name: check_campaign(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_campaign() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: check_campaign_account(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_campaign_account() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: check_engine(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_engine() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM moves WHERE account = NEW.account AND engine = NEW.engine AND to_server = NEW.server
            AND state = 'committed'
    ) THEN
        PERFORM refuse(format('The %s databases of account %s live with it until a move commits: move them to %s.',
            NEW.engine, NEW.account, NEW.server));
    END IF;
    RETURN NEW;
END $$;


--
-- Name: check_entry(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_entry() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: check_home(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_home() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    home servers;
BEGIN
    SELECT * INTO home FROM servers WHERE name = NEW.home_server;
    IF home.kind IN ('transit', 'test', 'database') THEN
        PERFORM refuse(format('%s is a %s: an account''s home is a shared, dedicated or VPS server.', home.name,
            CASE home.kind WHEN 'transit' THEN home.kind ELSE home.kind || ' server' END));
    END IF;
    IF home.customer <> NEW.customer THEN
        PERFORM refuse(format('Server %s of account %s is customer %s''s: its accounts are too.',
            home.name, NEW.name, home.customer));
    END IF;
    RETURN NEW;
END $$;


--
-- Name: check_ip(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_ip() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    state_ text;
BEGIN
    SELECT state INTO state_ FROM servers WHERE name = NEW.routed_to FOR SHARE;
    IF state_ IS NULL THEN
        RETURN NEW;  -- the foreign key refuses
    END IF;
    IF NEW.routed_to <> NEW.home_server AND NOT EXISTS (
        SELECT FROM migrations WHERE server = NEW.home_server AND transit = NEW.routed_to
            AND state IN ('accounts_moved', 'rerouted')
    ) AND (TG_OP = 'INSERT' OR NEW.routed_to <> OLD.routed_to OR NEW.home_server <> OLD.home_server) THEN
        PERFORM refuse(format('IP %s of %s cannot be routed to %s: only to the transit of its migration, and '
            'only when every account lives there.', host(NEW.address), NEW.home_server, NEW.routed_to));
    END IF;
    IF state_ = 'reinstalling' THEN
        PERFORM refuse(format('Server %s is being reinstalled: route IP %s to it afterwards.',
            NEW.routed_to, host(NEW.address)));
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.routed_to = NEW.home_server AND OLD.routed_to <> NEW.routed_to AND EXISTS (
        SELECT FROM migrations WHERE server = NEW.home_server AND state IN ('original_empty', 'reinstalled') AND taken_back_because IS NULL
    ) THEN
        PERFORM refuse(format('IP %s comes home when every account of %s has moved back: move them first.',
            host(NEW.address), NEW.home_server));
    END IF;
    RETURN NEW;
END $$;


--
-- Name: check_lease(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_lease() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (NEW.migration, NEW.transit, NEW.server, NEW.plan, NEW.handed_over_at)
        IS DISTINCT FROM (OLD.migration, OLD.transit, OLD.server, OLD.plan, OLD.handed_over_at)
        OR NEW.last_account_left_at IS DISTINCT FROM OLD.last_account_left_at
            AND OLD.last_account_left_at IS NOT NULL
        OR NEW.ended_at IS DISTINCT FROM OLD.ended_at AND OLD.ended_at IS NOT NULL
    THEN
        PERFORM refuse(format('What lease %s says of its time stays: settle it with a correction.', NEW.id));
    END IF;
    RETURN NEW;
END $$;


--
-- Name: check_leaves(text, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_leaves(account_ text, entry_name text, lift_gate_because text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    entry_ catalogue;
    source servers;
BEGIN
    SELECT * INTO entry_ FROM catalogue WHERE name = entry_name;
    SELECT s.* INTO source FROM servers s JOIN accounts a ON a.server = s.name WHERE a.name = account_;
    IF source.kind <> 'shared' THEN
        PERFORM refuse(format('Account %s lives on %s, a %s server: it is performed in that server''s migration.',
            account_, source.name, source.kind));
    END IF;
    PERFORM refuse_split(account_, entry_.kind);
    IF version_of(source.infrastructure, source.versions, entry_.kind) <> entry_.from_version THEN
        PERFORM refuse(format('Server %s runs %s %s, but %s starts from %s: choose another entry of the catalogue.',
            source.name, entry_.kind, version_of(source.infrastructure, source.versions, entry_.kind), entry_.name,
            entry_.from_version));
    END IF;
    IF lift_gate_because IS NULL THEN
        PERFORM refuse_untested(ARRAY[account_], entry_.name);
    END IF;
END $$;


--
-- Name: check_migration(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_migration() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    who text;
BEGIN
    IF NEW.server <> OLD.server OR NEW.run_id <> OLD.run_id OR NEW.transit IS DISTINCT FROM OLD.transit
        AND OLD.transit IS NOT NULL
    THEN
        PERFORM refuse(format('The migration of %s keeps its server, its run and its transit: begin another.',
            OLD.server));
    END IF;
    IF OLD.disk_kept IS NOT NULL AND NEW.disk_kept IS DISTINCT FROM OLD.disk_kept THEN
        PERFORM refuse(format('The kept disk of %s keeps its name: it is found by it.', NEW.server));
    END IF;
    IF NEW.disk_discarded_at IS DISTINCT FROM OLD.disk_discarded_at
        AND NEW.state NOT IN ('accounts_home', 'home', 'done')
    THEN
        PERFORM refuse(format('The disk that %s had before is kept until every account is home (its migration is %s).',
            NEW.server, NEW.state));
    END IF;
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF NEW.state = 'reinstalling' THEN
        NEW.disk_kept := format('kept-%s', left(replace(gen_random_uuid()::text, '-', ''), 12));
    END IF;
    CASE
    WHEN NEW.state = 'handed_over' THEN
        IF NOT EXISTS (SELECT FROM leases WHERE migration = NEW.id AND ended_at IS NULL) THEN
            PERFORM refuse(format('The migration of %s has no lease: hand its transit over.', NEW.server));
        END IF;
        IF NOT EXISTS (SELECT FROM servers WHERE name = NEW.transit AND host_key IS NOT NULL
            AND infrastructure = NEW.to_infrastructure)
        THEN
            PERFORM refuse(format('Transit %s is not enrolled with infrastructure %s: install and enrol it '
                'before it is handed over.', NEW.transit, NEW.to_infrastructure));
        END IF;
    WHEN NEW.state IN ('accounts_moved', 'original_empty', 'reinstalling') THEN
        who := living_on(NEW.server);
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Accounts live on %s (%s): move them before the migration is %s.',
                NEW.server, who, NEW.state));
        END IF;
    WHEN NEW.state = 'rerouted' THEN
        SELECT string_agg(host(address), ', ' ORDER BY address) INTO who
        FROM ips WHERE home_server = NEW.server AND routed_to <> NEW.transit;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('IPs of %s are not routed to %s yet (%s): reroute them.',
                NEW.server, NEW.transit, who));
        END IF;
    WHEN NEW.state = 'reinstalled' THEN
        IF NOT EXISTS (SELECT FROM servers WHERE name = NEW.server AND infrastructure = NEW.to_infrastructure)
        THEN
            PERFORM refuse(format('Server %s is not enrolled with infrastructure %s: enrol it first.',
                NEW.server, NEW.to_infrastructure));
        END IF;
    WHEN NEW.state = 'accounts_home' THEN
        who := living_on(NEW.transit);
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Accounts live on transit %s (%s): move them home first.',
                NEW.transit, who));
        END IF;
    WHEN NEW.state = 'home' THEN
        SELECT string_agg(host(address), ', ' ORDER BY address) INTO who
        FROM ips WHERE home_server = NEW.server AND routed_to <> NEW.server;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('IPs of %s are not home yet (%s): route them back.', NEW.server, who));
        END IF;
        SELECT string_agg(n.fqdn, ', ' ORDER BY n.fqdn) INTO who
        FROM names n JOIN accounts a ON a.name = n.account
        WHERE a.home_server = NEW.server AND a.removed_at IS NULL AND n.points_at <> n.address
            AND n.left_because IS NULL;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Names of %s are not home yet (%s): point them back.', NEW.server, who));
        END IF;
    WHEN NEW.state = 'done' THEN
        IF NOT EXISTS (SELECT FROM leases WHERE migration = NEW.id AND ended_at IS NOT NULL) THEN
            PERFORM refuse(format('Transit %s of server %s is not back in the pool: wipe and return it.',
                NEW.transit, NEW.server));
        END IF;
    WHEN NEW.state IN ('failed', 'cancelled') THEN
        SELECT string_agg(host(address), ', ' ORDER BY address) INTO who
        FROM ips WHERE home_server = NEW.server AND routed_to <> NEW.server;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('IPs of %s are not home (%s): route them back before its migration is given up.',
                NEW.server, who));
        END IF;
        SELECT format('account %s was performed at %s', account,
            to_char(committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')) INTO who
        FROM moves WHERE migration = NEW.id AND committed_at IS NOT NULL ORDER BY committed_at LIMIT 1;
        IF who IS NOT NULL AND NEW.taken_back_because IS NULL THEN
            PERFORM refuse(format('The migration of %s can no longer be given up, because %s: perform the other '
                'accounts, and all of them come home by themselves.', NEW.server, who));
        END IF;
        who := living_on(NEW.transit);
        IF who IS NOT NULL THEN
            PERFORM refuse(format('The migration of %s can no longer be given up, because accounts live on its transit '
                '%s (%s): perform the other accounts, and all of them come home by themselves.',
                NEW.server, NEW.transit, who));
        END IF;
        SELECT account INTO who FROM moves
        WHERE migration = NEW.id AND state NOT IN ('done', 'returned') LIMIT 1;
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Account %s is being moved: give the migration of %s up when that has ended.',
                who, NEW.server));
        END IF;
    ELSE
    END CASE;
    RETURN NEW;
END $$;


--
-- Name: check_migration_begins(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_migration_begins() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (SELECT kind FROM catalogue WHERE name = NEW.entry) <> 'infrastructure' THEN
        PERFORM refuse(format('Entry %s changes one engine only: a dedicated server or VPS goes through an entry of '
            'the whole infrastructure.', NEW.entry));
    END IF;
    IF NEW.lift_gate_because IS NULL THEN
        PERFORM refuse_untested(
            ARRAY(SELECT name FROM accounts WHERE home_server = NEW.server AND removed_at IS NULL), NEW.entry
        );
    END IF;
    RETURN NEW;
END $$;


--
-- Name: check_move(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_move() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    account_ accounts;
    migration_ migrations;
    other text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.key, NEW.account, NEW.migration, NEW.entry, NEW.engine, NEW.original, NEW.from_server, NEW.to_server,
                NEW.direction)
            IS DISTINCT FROM
            (OLD.key, OLD.account, OLD.migration, OLD.entry, OLD.engine, OLD.original, OLD.from_server, OLD.to_server,
                OLD.direction)
            OR NEW.run_id <> OLD.run_id
        THEN
            PERFORM refuse(format('Move %s keeps its account and its servers: begin another move.', OLD.key));
        END IF;
        IF NEW.epoch < OLD.epoch THEN
            PERFORM refuse(format('The epoch of move %s only grows: %s was refused.', NEW.key, NEW.epoch));
        END IF;
        IF NEW.state = OLD.state THEN
            RETURN NEW;
        END IF;
        IF NEW.state = 'committed' THEN
            -- The source's word, as far as it can be true: registry and Airflow may have been down for a day since.
            NEW.committed_at := greatest(NEW.began_at, least(now(), coalesce(NEW.committed_at, now())));
        ELSIF NEW.state IN ('done', 'returned') THEN
            NEW.ended_at := now();
        ELSIF NEW.state = 'preparing' THEN
            NEW.ended_at := NULL;
        END IF;
        IF NEW.state <> 'preparing' THEN
            RETURN NEW;
        END IF;
    END IF;

    -- The move begins, or begins again.
    IF NEW.migration IS NOT NULL THEN
        SELECT * INTO migration_ FROM migrations WHERE id = NEW.migration FOR UPDATE;
    END IF;
    SELECT * INTO account_ FROM accounts WHERE name = NEW.account FOR UPDATE;
    IF account_.removed_at IS NOT NULL THEN
        PERFORM refuse(format('Account %s was removed: there is nothing to move.', NEW.account));
    END IF;
    IF NEW.migration IS NOT NULL
        AND (account_.home_server <> migration_.server OR NEW.original <> migration_.server)
    THEN
        PERFORM refuse(format('Account %s belongs to %s, not to %s: move it in its own migration.',
            NEW.account, account_.home_server, migration_.server));
    END IF;
    IF account_.server = NEW.to_server THEN
        PERFORM refuse(format('Account %s lives on %s already: there is nothing to move.',
            NEW.account, NEW.to_server));
    END IF;
    IF account_.server <> NEW.from_server THEN
        PERFORM refuse(format('Account %s lives on %s, not on %s: move it from there.',
            NEW.account, account_.server, NEW.from_server));
    END IF;
    IF NEW.epoch <> account_.epoch THEN
        PERFORM refuse(format('A move of account %s takes its newest epoch, %s: %s was refused.',
            NEW.account, account_.epoch, NEW.epoch));
    END IF;
    IF EXISTS (SELECT FROM moves WHERE account = NEW.account AND state NOT IN ('done', 'returned')
        AND id IS DISTINCT FROM NEW.id)
    THEN
        PERFORM refuse(format('Account %s is being moved already: wait until that move has ended.', NEW.account));
    END IF;
    IF EXISTS (SELECT FROM tests WHERE account = NEW.account AND state IN ('preparing', 'copying')) THEN
        PERFORM refuse(format('Account %s is being copied for a test: move it when that has ended.', NEW.account));
    END IF;
    CASE NEW.direction
    WHEN 'out' THEN
        IF migration_.transit IS NULL
            OR migration_.state IN ('checking', 'waiting_for_transit', 'installing_transit')
        THEN
            PERFORM refuse(format('The transit for %s is not handed over yet: wait for the hand-over.',
                migration_.server));
        ELSIF NEW.to_server <> migration_.transit THEN
            PERFORM refuse(format('Account %s can be performed to %s only: give that server.',
                NEW.account, migration_.transit));
        ELSIF migration_.state NOT IN ('handed_over', 'accounts_moved', 'rerouted', 'original_empty') THEN
            PERFORM refuse(format('The migration of %s is %s: accounts no longer move out.',
                migration_.server, migration_.state));
        END IF;
    WHEN 'home' THEN
        IF NEW.to_server <> migration_.server OR NEW.from_server IS DISTINCT FROM migration_.transit THEN
            PERFORM refuse(format('Account %s moves back from %s to %s only: give that server.',
                NEW.account, coalesce(migration_.transit, 'a transit'), migration_.server));
        ELSIF migration_.state NOT IN ('reinstalled', 'accounts_home', 'home') THEN
            PERFORM refuse(format('Server %s is not reinstalled yet (its migration is %s): accounts move '
                'back afterwards.', migration_.server, migration_.state));
        END IF;
    WHEN 'over' THEN
        PERFORM check_over(NEW);
    ELSE  -- the constraint refuses
    END CASE;
    IF NEW.direction <> 'over' THEN
        SELECT account INTO other FROM moves
        WHERE original = NEW.original AND direction <> 'over' AND state NOT IN ('done', 'returned')
            AND id IS DISTINCT FROM NEW.id LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'Account % of % is being moved: wait until that move has ended.', other, NEW.original
                USING ERRCODE = 'TH002';
        END IF;
    END IF;
    RETURN NEW;
END $$;


--
-- Name: check_original(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_original() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.state <> OLD.state AND NEW.state = 'reinstalling' AND NOT EXISTS (
        SELECT FROM migrations WHERE server = NEW.name AND state = 'reinstalling'
    ) THEN
        PERFORM refuse(format('Server %s has no migration that reinstalls it: bring its migration there.',
            NEW.name));
    END IF;
    IF NEW.state <> OLD.state AND NEW.state = 'free' AND EXISTS (
        SELECT FROM transit_requests WHERE transit = NEW.name AND state = 'assigned'
    ) THEN
        PERFORM refuse(format('Transit %s is still assigned: end that request first.', NEW.name));
    END IF;
    RETURN NEW;
END $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: moves; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.moves (
    id bigint NOT NULL,
    account text NOT NULL,
    migration bigint,
    original text NOT NULL,
    from_server text NOT NULL,
    to_server text NOT NULL,
    direction text NOT NULL,
    epoch bigint NOT NULL,
    run_id text NOT NULL,
    requested_by text NOT NULL,
    state text NOT NULL,
    state_since timestamp with time zone DEFAULT now() NOT NULL,
    began_at timestamp with time zone DEFAULT now() NOT NULL,
    committed_at timestamp with time zone,
    ended_at timestamp with time zone,
    figures jsonb DEFAULT '{}'::jsonb NOT NULL,
    entry text,
    engine text,
    lift_gate_because text,
    key text NOT NULL,
    CONSTRAINT moves_direction CHECK ((direction = ANY (ARRAY['out'::text, 'home'::text, 'over'::text]))),
    CONSTRAINT moves_engine CHECK ((engine = ANY (ARRAY['postgresql'::text, 'mariadb'::text]))),
    CONSTRAINT moves_gate_reason CHECK ((btrim(lift_gate_because) <> ''::text)),
    CONSTRAINT moves_over CHECK (
CASE direction
    WHEN 'over'::text THEN ((migration IS NULL) AND (entry IS NOT NULL) AND (original = from_server))
    ELSE ((migration IS NOT NULL) AND (num_nonnulls(entry, engine, lift_gate_because) = 0))
END),
    CONSTRAINT moves_servers_differ CHECK ((from_server <> to_server))
);


--
-- Name: check_over(public.moves); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_over(move_ public.moves) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    entry_ catalogue;
    target servers;
    other text;
BEGIN
    SELECT * INTO entry_ FROM catalogue WHERE name = move_.entry;
    IF move_.engine IS DISTINCT FROM nullif(entry_.kind, 'infrastructure') THEN
        PERFORM refuse(format('Entry %s is one of %s: a move of %s was refused.', entry_.name, entry_.kind,
            coalesce(move_.engine, 'the whole account')));
    END IF;
    PERFORM check_leaves(move_.account, move_.entry, move_.lift_gate_because);
    PERFORM pg_advisory_xact_lock(7203102);
    SELECT * INTO target FROM servers WHERE name = move_.to_server;
    IF target.kind <> (CASE entry_.kind WHEN 'infrastructure' THEN 'shared' ELSE 'database' END)
        OR target.state <> 'serving'
    THEN
        PERFORM refuse(format('%s is a %s server and %s: %s goes to a %s server that serves.', target.name, target.kind,
            target.state, entry_.name, CASE entry_.kind WHEN 'infrastructure' THEN 'shared' ELSE 'database' END));
    END IF;
    IF version_of(target.infrastructure, target.versions, entry_.kind) <> entry_.to_version
        OR target.host_key IS NULL
    THEN
        PERFORM refuse(format('Server %s is not enrolled with %s %s: choose one that is.',
            target.name, entry_.kind, entry_.to_version));
    END IF;
    SELECT s.name INTO other FROM servers s
    WHERE s.name IN (move_.from_server, move_.to_server) AND most_moves_a_server() <= (
        SELECT count(*) FROM moves m
        WHERE s.name IN (m.from_server, m.to_server) AND m.direction = 'over' AND m.state NOT IN ('done', 'returned')
            AND m.id IS DISTINCT FROM move_.id
    ) ORDER BY s.name LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Server % takes part in % moves, the most at a time: wait until one has ended.',
            other, most_moves_a_server() USING ERRCODE = 'TH002';
    END IF;
END $$;


--
-- Name: check_request(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_request() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.state = 'returned_to_pool' AND OLD.state <> NEW.state AND NOT EXISTS (
        SELECT FROM servers WHERE name = NEW.transit AND state = 'wiped'
    ) THEN
        PERFORM refuse(format('Transit %s is not wiped: wipe it before it goes back to the pool.',
            NEW.transit));
    END IF;
    IF OLD.transit IS NOT NULL AND NEW.transit IS DISTINCT FROM OLD.transit THEN
        PERFORM refuse(format('Request %s keeps transit %s: cancel its migration to give it up.',
            NEW.id, OLD.transit));
    END IF;
    RETURN NEW;
END $$;


--
-- Name: check_server(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_server() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    who text;
    migration_ bigint;
BEGIN
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF NEW.state IN ('reinstalling', 'wiped', 'assigned') THEN
        who := living_on(NEW.name);
        IF who IS NOT NULL THEN
            PERFORM refuse(format('Accounts live on %s (%s): move them before it becomes %s.',
                NEW.name, who, NEW.state));
        END IF;
        SELECT string_agg(host(address), ', ' ORDER BY address) INTO who
        FROM ips WHERE routed_to = NEW.name AND (home_server <> NEW.name OR NEW.state = 'reinstalling');
        IF who IS NOT NULL THEN
            PERFORM refuse(format('IPs are routed to %s (%s): route them elsewhere before it becomes %s.',
                NEW.name, who, NEW.state));
        END IF;
    END IF;
    IF NEW.state = 'wiped' THEN
        SELECT id INTO migration_ FROM migrations
        WHERE transit = NEW.name AND state NOT IN ('home', 'done', 'failed', 'cancelled');
        IF FOUND THEN
            PERFORM refuse(format('Migration %s still needs %s: wipe it when IPs and names are home.',
                migration_, NEW.name));
        END IF;
        NEW.host_key := NULL;
    END IF;
    RETURN NEW;
END $$;


--
-- Name: check_test(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_test() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    account_ accounts;
    entry_ catalogue;
    server_ servers;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.account, NEW.entry, NEW.run_id) IS DISTINCT FROM (OLD.account, OLD.entry, OLD.run_id)
            OR NEW.server <> OLD.server AND NEW.state <> 'preparing'
        THEN
            PERFORM refuse(format('Test t%s keeps its account, its entry and its server: begin another test.', NEW.id));
        END IF;
        IF NEW.epoch < OLD.epoch THEN
            PERFORM refuse(format('The epoch of test t%s only grows: %s was refused.', NEW.id, NEW.epoch));
        END IF;
        IF NEW.state = OLD.state THEN
            RETURN NEW;
        END IF;
        IF NEW.state = 'removed' THEN
            NEW.ended_at := now();
        END IF;
        IF NEW.state <> 'preparing' THEN
            RETURN NEW;
        END IF;
        NEW.ended_at := NULL;
    END IF;

    -- The test begins, or begins again.
    SELECT * INTO account_ FROM accounts WHERE name = NEW.account FOR UPDATE;
    IF account_.removed_at IS NOT NULL THEN
        PERFORM refuse(format('Account %s was removed: there is nothing to test.', NEW.account));
    END IF;
    IF NEW.epoch <> account_.epoch THEN
        PERFORM refuse(format('A test of account %s takes its newest epoch, %s: %s was refused.',
            NEW.account, account_.epoch, NEW.epoch));
    END IF;
    IF EXISTS (SELECT FROM moves WHERE account = NEW.account AND state NOT IN ('done', 'returned')) THEN
        PERFORM refuse(format('Account %s is being moved: test it when the move has ended.', NEW.account));
    END IF;
    SELECT * INTO entry_ FROM catalogue WHERE name = NEW.entry;
    PERFORM refuse_split(NEW.account, entry_.kind);
    IF account_runs(NEW.account, entry_.kind) <> entry_.from_version THEN
        PERFORM refuse(format('Account %s runs on %s %s, but %s starts from %s: choose another entry of the catalogue.',
            NEW.account, entry_.kind, account_runs(NEW.account, entry_.kind), NEW.entry, entry_.from_version));
    END IF;
    SELECT * INTO server_ FROM servers WHERE name = NEW.server FOR SHARE;
    IF server_.kind <> 'test' THEN
        PERFORM refuse(format('%s is no test server: a test copy is put on a test server only.', NEW.server));
    END IF;
    IF server_runs(NEW.server, entry_.kind) <> entry_.to_version THEN
        PERFORM refuse(format('Test server %s does not run %s %s: choose one that does.',
            NEW.server, entry_.kind, entry_.to_version));
    END IF;
    RETURN NEW;
END $$;


--
-- Name: check_transition(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_transition() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    subject_ text := TG_ARGV[0];
    allowed text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (
            SELECT FROM states s WHERE s.subject = subject_ AND s.state = NEW.state AND s.initial
        ) THEN
            SELECT string_agg(state, ' or ' ORDER BY state) INTO allowed
            FROM states s WHERE s.subject = subject_ AND s.initial;
            PERFORM refuse(format('A %s cannot begin as %s: it begins as %s.',
                subject_, coalesce(NEW.state, 'nothing'), allowed));
        END IF;
    ELSIF NEW.state IS DISTINCT FROM OLD.state THEN
        IF NOT EXISTS (
            SELECT FROM transitions t
            WHERE t.subject = subject_ AND t.source = OLD.state AND t.target = NEW.state
        ) THEN
            SELECT string_agg(target, ', ' ORDER BY target) INTO allowed
            FROM transitions t WHERE t.subject = subject_ AND t.source = OLD.state;
            PERFORM refuse(format('A %s cannot go from %s to %s: from there it can go %s.',
                subject_, OLD.state, coalesce(NEW.state, 'nothing'), coalesce('to ' || allowed, 'nowhere')));
        END IF;
        NEW.state_since := now();
    END IF;
    RETURN NEW;
END $$;


--
-- Name: commit_move(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.commit_move() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.engine IS NOT NULL THEN
        INSERT INTO account_engines (account, engine, server) VALUES (NEW.account, NEW.engine, NEW.to_server);
    ELSIF NEW.direction = 'over' THEN
        UPDATE accounts SET server = NEW.to_server, home_server = NEW.to_server WHERE name = NEW.account;
        UPDATE names n SET address = i.address
        FROM (
            SELECT DISTINCT ON (family(address)) family(address) AS family, address
            FROM ips WHERE home_server = NEW.to_server ORDER BY family(address), address
        ) i
        WHERE n.account = NEW.account AND family(n.address) = i.family
            AND n.address IN (SELECT address FROM ips WHERE home_server = NEW.from_server);
    ELSE
        UPDATE accounts SET server = NEW.to_server WHERE name = NEW.account;
    END IF;
    RETURN NULL;
END $$;


--
-- Name: customer_of_event(text, bigint, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.customer_of_event(account_ text, migration_ bigint, server_ text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(
        (
            SELECT coalesce(s.customer, a.customer) FROM accounts a JOIN servers s ON s.name = a.home_server
            WHERE a.name = account_
        ),
        (SELECT s.customer FROM migrations m JOIN servers s ON s.name = m.server WHERE m.id = migration_),
        (SELECT customer FROM servers WHERE name = server_)
    )
$$;


--
-- Name: events_settled(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.events_settled() RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    given bigint := last_event();
    writing bigint;
BEGIN
    SELECT min(((classid::bigint << 32) | objid::bigint) & ((1::bigint << 40) - 1)) INTO writing
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND ((classid::bigint << 32) | objid::bigint) >> 40 = 7203103;
    RETURN least(given, writing);
END $$;


--
-- Name: follow_migration(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.follow_migration() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    CASE
    WHEN NEW.state = 'reinstalling' THEN
        UPDATE servers SET state = 'reinstalling' WHERE name = NEW.server;
    WHEN NEW.state = 'reinstalled' THEN
        UPDATE servers SET state = 'serving' WHERE name = NEW.server;
    WHEN NEW.state IN ('failed', 'cancelled') THEN
        UPDATE transit_requests SET state = 'cancelled' WHERE migration = NEW.id AND state = 'waiting';
        UPDATE leases SET ended_at = greatest(now(), handed_over_at)
        WHERE migration = NEW.id AND ended_at IS NULL;
    ELSE
    END CASE;
    RETURN NULL;
END $$;


--
-- Name: keep(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.keep() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse(format('Rows of %s are kept for ever: what is there cannot be %s.', TG_TABLE_NAME,
        CASE TG_OP WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END));
    RETURN NULL;
END $$;


--
-- Name: keep_past_prices(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.keep_past_prices() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.valid_from <= current_date THEN
        PERFORM refuse(format('The price of plan %s from %s has been in force: add a price from a later day.',
            OLD.plan, OLD.valid_from));
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;


--
-- Name: last_event(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.last_event() RETURNS bigint
    LANGUAGE sql
    AS $$
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM events_id_seq
$$;


--
-- Name: lease_free_days_stay(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.lease_free_days_stay() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'The free days of lease % were fixed at its hand-over: enter a correction of the lease.', OLD.id
        USING ERRCODE = 'TH001';
END $$;


--
-- Name: living_on(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.living_on(server_ text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT string_agg(who, ', ') FROM who_is_on(server_) AS who
$$;


--
-- Name: most_moves_a_server(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.most_moves_a_server() RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$SELECT 2$$;


--
-- Name: new_key(text, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.new_key(letter text, number bigint) RETURNS text
    LANGUAGE sql
    AS $$
    SELECT format('%s%s-%s', letter, number, left(replace(gen_random_uuid()::text, '-', ''), 12))
$$;


--
-- Name: outbox_message_stays(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.outbox_message_stays() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'A message of the outbox keeps its key, kind and payload: write a new one.'
        USING ERRCODE = 'TH001';
END $$;


--
-- Name: plan_price_fits_currency(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.plan_price_fits_currency() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF scale(trim_scale(NEW.monthly_price)) > (SELECT minor_digits FROM currencies WHERE code = NEW.currency) THEN
        RAISE EXCEPTION 'A price of % has more decimals than % has: round it.', NEW.monthly_price, NEW.currency
            USING ERRCODE = 'TH001';
    END IF;
    RETURN NEW;
END $$;


--
-- Name: refuse(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse(sentence text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '%', sentence USING ERRCODE = 'TH001';
END $$;


--
-- Name: refuse_split(text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse_split(account_ text, kind_ text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    away account_engines;
BEGIN
    SELECT * INTO away FROM account_engines
    WHERE account = account_ AND kind_ IN ('infrastructure', engine) ORDER BY engine LIMIT 1;
    IF FOUND THEN
        PERFORM refuse(format('The %s databases of account %s live on %s: this entry cannot take them from there.',
            away.engine, account_, away.server));
    END IF;
END $$;


--
-- Name: refuse_untested(text[], text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse_untested(accounts_ text[], entry_ text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    why text[] := ARRAY(SELECT untested(accounts_, entry_));
BEGIN
    IF cardinality(why) > 0 THEN
        PERFORM refuse(array_to_string(why[1:5], ' ')
            || CASE WHEN cardinality(why) > 5 THEN format(' And %s accounts more.', cardinality(why) - 5) ELSE '' END);
    END IF;
END $$;


--
-- Name: server_runs(text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.server_runs(server_ text, kind_ text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT version_of(infrastructure, versions, kind_) FROM servers WHERE name = server_
$$;


--
-- Name: tell_customer(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.tell_customer() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.customer := customer_of_event(NEW.account, NEW.migration, NEW.server);
    RETURN NEW;
END $$;


--
-- Name: untested(text[], text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.untested(accounts_ text[], entry_ text) RETURNS SETOF text
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE
        WHEN t.blockers IS NULL THEN format('Account %s has not been tested for %s: test it.', a, entry_)
        ELSE format('The test of account %s for %s found %s: correct it and test again.', a, entry_,
            CASE t.blockers WHEN 1 THEN 'a blocker' ELSE t.blockers || ' blockers' END)
        END
    FROM unnest(accounts_) AS a LEFT JOIN LATERAL (
        SELECT blockers FROM tests
        WHERE account = a AND entry = entry_ AND tested_at IS NOT NULL ORDER BY tested_at DESC, id DESC LIMIT 1
    ) t ON true
    WHERE coalesce(t.blockers, 1) > 0
    ORDER BY a
$$;


--
-- Name: version_of(text, jsonb, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.version_of(infrastructure text, versions jsonb, kind text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT coalesce(CASE kind
        WHEN 'infrastructure' THEN infrastructure
        WHEN 'postgresql' THEN split_part(versions ->> 'postgresql', '.', 1)
        WHEN 'mariadb' THEN substring(versions ->> 'mariadb' FROM '^[0-9]+\.[0-9]+')
    END, '')
$$;


--
-- Name: who_is_on(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.who_is_on(server_ text) RETURNS SETOF text
    LANGUAGE sql STABLE
    AS $$
    SELECT who FROM (
        SELECT name AS who FROM accounts WHERE server = server_ AND removed_at IS NULL
        UNION ALL
        SELECT format('%s''s %s databases', account, engine) FROM account_engines WHERE server = server_
        UNION ALL
        SELECT format('a test copy of %s', account) FROM tests WHERE server = server_ AND state <> 'removed'
    ) w ORDER BY who
$$;


--
-- Name: writes_events(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.writes_events() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF coalesce(current_setting('transhumance.writes_events', true), '') = '' THEN
        PERFORM pg_advisory_xact_lock_shared((7203103::bigint << 40) | last_event());
        PERFORM set_config('transhumance.writes_events', 'yes', true);
    END IF;
    RETURN NULL;
END $$;


--
-- Name: account_engines; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.account_engines (
    account text NOT NULL,
    engine text NOT NULL,
    server text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT account_engines_engine CHECK ((engine = ANY (ARRAY['postgresql'::text, 'mariadb'::text])))
);


--
-- Name: accounts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.accounts (
    name text NOT NULL,
    server text NOT NULL,
    home_server text NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    domains text[] DEFAULT '{}'::text[] NOT NULL,
    description jsonb,
    described_at timestamp with time zone,
    added_at timestamp with time zone DEFAULT now() NOT NULL,
    removed_at timestamp with time zone,
    customer text,
    stated jsonb,
    CONSTRAINT accounts_customer CHECK ((customer <> ''::text)),
    CONSTRAINT accounts_domains CHECK (public.are_host_names(domains)),
    CONSTRAINT accounts_epoch CHECK ((epoch >= 0)),
    CONSTRAINT accounts_name CHECK ((name ~ '^[a-z][a-z0-9_-]{0,31}$'::text))
);


--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: billing_changes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.billing_changes (
    id bigint NOT NULL,
    lease bigint,
    plan text,
    CONSTRAINT billing_changes_one CHECK ((num_nonnulls(lease, plan) = 1))
);


--
-- Name: billing_changes_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.billing_changes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.billing_changes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: billing_days; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.billing_days (
    day date NOT NULL,
    charges bigint NOT NULL,
    billed_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: billing_time_zones; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.billing_time_zones (
    valid_from date NOT NULL,
    zone text NOT NULL
);


--
-- Name: billing_zone_spans; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.billing_zone_spans AS
 SELECT billing_time_zones.zone,
        CASE
            WHEN (lag(billing_time_zones.zone) OVER w IS NULL) THEN '-infinity'::timestamp with time zone
            ELSE public.billing_day_begins(billing_time_zones.valid_from, billing_time_zones.zone)
        END AS begins,
    COALESCE(lead(public.billing_day_begins(billing_time_zones.valid_from, billing_time_zones.zone)) OVER w, 'infinity'::timestamp with time zone) AS ends
   FROM public.billing_time_zones
  WINDOW w AS (ORDER BY billing_time_zones.valid_from);


--
-- Name: lease_corrections; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lease_corrections (
    id bigint NOT NULL,
    lease bigint NOT NULL,
    handed_over_at timestamp with time zone,
    last_account_left_at timestamp with time zone,
    free_days integer,
    reason text NOT NULL,
    corrected_by text NOT NULL,
    corrected_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT lease_corrections_by CHECK ((corrected_by <> ''::text)),
    CONSTRAINT lease_corrections_free_days CHECK (((free_days >= 0) AND (free_days <= 365))),
    CONSTRAINT lease_corrections_reason CHECK ((reason <> ''::text)),
    CONSTRAINT lease_corrections_something CHECK ((num_nonnulls(handed_over_at, last_account_left_at, free_days) > 0))
);


--
-- Name: leases; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.leases (
    id bigint NOT NULL,
    migration bigint NOT NULL,
    transit text NOT NULL,
    server text NOT NULL,
    plan text NOT NULL,
    handed_over_at timestamp with time zone NOT NULL,
    expected_end_at timestamp with time zone NOT NULL,
    last_account_left_at timestamp with time zone,
    ended_at timestamp with time zone,
    free_days integer DEFAULT public.billing_free_days() NOT NULL,
    CONSTRAINT leases_free_days CHECK (((free_days >= 0) AND (free_days <= 365))),
    CONSTRAINT leases_times CHECK (((last_account_left_at >= handed_over_at) AND (ended_at >= handed_over_at)))
);


--
-- Name: billing_leases; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.billing_leases AS
 SELECT f.id,
    f.migration,
    f.server,
    f.transit,
    f.plan,
    f.handed_over_at,
    f.free_days,
    f.billed_until,
    ((f.handed_over_at AT TIME ZONE z.zone))::date AS handed_over_on,
    (((f.handed_over_at AT TIME ZONE z.zone) + ((f.free_days)::double precision * '1 day'::interval)) AT TIME ZONE z.zone) AS free_until
   FROM (( SELECT l.id,
            l.migration,
            l.server,
            l.transit,
            l.plan,
            COALESCE(c.handed_over_at, l.handed_over_at) AS handed_over_at,
            COALESCE(c.free_days, l.free_days) AS free_days,
            LEAST(COALESCE(c.last_account_left_at, l.last_account_left_at), l.ended_at) AS billed_until
           FROM (public.leases l
             LEFT JOIN ( SELECT lease_corrections.lease,
                    (array_agg(lease_corrections.handed_over_at ORDER BY lease_corrections.id DESC) FILTER (WHERE (lease_corrections.handed_over_at IS NOT NULL)))[1] AS handed_over_at,
                    (array_agg(lease_corrections.last_account_left_at ORDER BY lease_corrections.id DESC) FILTER (WHERE (lease_corrections.last_account_left_at IS NOT NULL)))[1] AS last_account_left_at,
                    (array_agg(lease_corrections.free_days ORDER BY lease_corrections.id DESC) FILTER (WHERE (lease_corrections.free_days IS NOT NULL)))[1] AS free_days
                   FROM public.lease_corrections
                  GROUP BY lease_corrections.lease) c ON ((c.lease = l.id)))) f
     JOIN public.billing_zone_spans z ON (((f.handed_over_at >= z.begins) AND (f.handed_over_at < z.ends))));


--
-- Name: billing_settings; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.billing_settings (
    only_row boolean DEFAULT true NOT NULL,
    free_days integer DEFAULT 7 NOT NULL,
    CONSTRAINT billing_settings_free_days CHECK (((free_days >= 0) AND (free_days <= 365))),
    CONSTRAINT billing_settings_only_row CHECK (only_row)
);


--
-- Name: cached_names; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.cached_names (
    fqdn text NOT NULL,
    type text NOT NULL,
    address inet NOT NULL,
    until timestamp with time zone NOT NULL
);


--
-- Name: campaign_accounts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.campaign_accounts (
    campaign bigint NOT NULL,
    account text NOT NULL,
    wave integer NOT NULL,
    state text NOT NULL,
    state_since timestamp with time zone DEFAULT now() NOT NULL,
    reason text,
    CONSTRAINT campaign_accounts_reason CHECK (((state <> ALL (ARRAY['failed'::text, 'left'::text])) OR (COALESCE(btrim(reason), ''::text) <> ''::text))),
    CONSTRAINT campaign_accounts_wave CHECK ((wave > 0))
);


--
-- Name: campaigns; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.campaigns (
    id bigint NOT NULL,
    entry text NOT NULL,
    run_id text NOT NULL,
    requested_by text NOT NULL,
    state text NOT NULL,
    state_since timestamp with time zone DEFAULT now() NOT NULL,
    settings jsonb NOT NULL,
    why text,
    began_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT campaigns_settings CHECK (COALESCE(((((settings ->> 'wave_size'::text))::integer >= 1) AND (((settings ->> 'canaries'::text))::integer >= 0) AND ((((settings ->> 'most_per_server'::text))::integer >= 1) AND (((settings ->> 'most_per_server'::text))::integer <= public.most_moves_a_server())) AND ((((settings ->> 'most_failures_percent'::text))::numeric >= (0)::numeric) AND (((settings ->> 'most_failures_percent'::text))::numeric <= (100)::numeric)) AND ((((settings ->> 'longest_wait_seconds'::text))::numeric >= 0.1) AND (((settings ->> 'longest_wait_seconds'::text))::numeric <= (60)::numeric))), false))
);


--
-- Name: campaigns_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.campaigns ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.campaigns_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: catalogue; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.catalogue (
    name text NOT NULL,
    kind text NOT NULL,
    from_version text NOT NULL,
    to_version text NOT NULL,
    title text NOT NULL,
    mandatory boolean DEFAULT false NOT NULL,
    opens date,
    deadline date,
    CONSTRAINT catalogue_changes_something CHECK ((from_version <> to_version)),
    CONSTRAINT catalogue_dates CHECK ((opens < deadline)),
    CONSTRAINT catalogue_kind CHECK ((kind = ANY (ARRAY['infrastructure'::text, 'postgresql'::text, 'mariadb'::text]))),
    CONSTRAINT catalogue_mandatory CHECK (((NOT mandatory) OR (deadline IS NOT NULL))),
    CONSTRAINT catalogue_name CHECK ((name ~ '^[a-z0-9][a-z0-9.-]{0,63}$'::text)),
    CONSTRAINT catalogue_title CHECK ((title <> ''::text))
);


--
-- Name: currencies; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.currencies (
    code text NOT NULL,
    minor_digits integer NOT NULL
);


--
-- Name: customers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.customers (
    name text NOT NULL,
    mail text,
    CONSTRAINT customers_mail CHECK (((length(mail) <= 254) AND (mail ~ '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$'::text))),
    CONSTRAINT customers_name CHECK ((name <> ''::text))
);


--
-- Name: entry_reminders; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.entry_reminders (
    entry text NOT NULL,
    account text NOT NULL,
    kind text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT entry_reminders_kind CHECK ((kind = ANY (ARRAY['opening'::text, '30_days'::text, '7_days'::text, '1_day'::text, 'end'::text])))
);


--
-- Name: event_cursors; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.event_cursors (
    name text NOT NULL,
    last_event bigint NOT NULL,
    CONSTRAINT event_cursors_last_event CHECK ((last_event >= 0)),
    CONSTRAINT event_cursors_name CHECK ((name ~ '^[a-z0-9_.-]{1,64}$'::text))
);


--
-- Name: events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.events (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    kind text NOT NULL,
    migration bigint,
    account text,
    server text,
    move bigint,
    by text,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    customer text,
    CONSTRAINT events_kind CHECK ((kind ~ '^[a-z]+([._][a-z]+)*$'::text))
);


--
-- Name: events_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: ips; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ips (
    address inet NOT NULL,
    home_server text NOT NULL,
    routed_to text NOT NULL,
    CONSTRAINT ips_are_hosts CHECK ((masklen(address) =
CASE family(address)
    WHEN 4 THEN 32
    ELSE 128
END))
);


--
-- Name: lease_corrections_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.lease_corrections ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.lease_corrections_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: lease_reminders; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lease_reminders (
    lease bigint NOT NULL,
    kind text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT lease_reminders_kind CHECK ((kind = ANY (ARRAY['two_days_left'::text, 'one_day_left'::text, 'free_days_over'::text, 'first_charge'::text])))
);


--
-- Name: leases_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.leases ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.leases_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: ledger_entries; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ledger_entries (
    id bigint NOT NULL,
    lease bigint NOT NULL,
    day date NOT NULL,
    number integer NOT NULL,
    kind text NOT NULL,
    amount numeric NOT NULL,
    currency text NOT NULL,
    monthly_price numeric,
    reason text,
    corrects bigint,
    entered_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ledger_entries_kind CHECK (
CASE kind
    WHEN 'charge'::text THEN ((number = 0) AND (corrects IS NULL) AND (amount >= (0)::numeric))
    WHEN 'correction'::text THEN ((number > 0) AND (corrects IS NOT NULL) AND (reason IS NOT NULL))
    ELSE false
END)
);


--
-- Name: ledger_entries_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.ledger_entries ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.ledger_entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: ledger_exports; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ledger_exports (
    id bigint NOT NULL,
    system text NOT NULL,
    after_entry bigint NOT NULL,
    through_entry bigint NOT NULL,
    entries bigint NOT NULL,
    exported_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ledger_exports_forward CHECK ((through_entry > after_entry)),
    CONSTRAINT ledger_exports_system CHECK ((system ~ '^[[:print:]]{1,64}$'::text))
);


--
-- Name: ledger_exports_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.ledger_exports ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.ledger_exports_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.migrations (
    id bigint NOT NULL,
    server text NOT NULL,
    entry text NOT NULL,
    from_infrastructure text NOT NULL,
    to_infrastructure text NOT NULL,
    transit text,
    run_id text NOT NULL,
    requested_by text NOT NULL,
    state text NOT NULL,
    state_since timestamp with time zone DEFAULT now() NOT NULL,
    began_at timestamp with time zone DEFAULT now() NOT NULL,
    lift_gate_because text,
    disk_kept text,
    disk_discarded_at timestamp with time zone,
    taken_back_because text,
    CONSTRAINT migrations_disk CHECK (((disk_discarded_at IS NULL) OR (disk_kept IS NOT NULL))),
    CONSTRAINT migrations_gate_reason CHECK ((btrim(lift_gate_because) <> ''::text)),
    CONSTRAINT migrations_taken_back CHECK ((btrim(taken_back_because) <> ''::text)),
    CONSTRAINT migrations_transit_is_another CHECK ((transit <> server)),
    CONSTRAINT migrations_transit_is_known CHECK (((transit IS NOT NULL) OR (state = ANY (ARRAY['checking'::text, 'waiting_for_transit'::text, 'failed'::text, 'cancelled'::text]))))
);


--
-- Name: migrations_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.migrations ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.migrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: moves_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.moves ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.moves_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: names; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.names (
    fqdn text NOT NULL,
    type text NOT NULL,
    account text NOT NULL,
    address inet NOT NULL,
    points_at inet NOT NULL,
    ttl integer NOT NULL,
    ttl_now integer NOT NULL,
    lowered boolean DEFAULT false NOT NULL,
    left_because text,
    CONSTRAINT names_fqdn CHECK (public.are_host_names(ARRAY[fqdn])),
    CONSTRAINT names_ttl CHECK (((ttl >= 1) AND (ttl <= 604800))),
    CONSTRAINT names_ttl_now CHECK (((ttl_now >= 1) AND (ttl_now <= ttl))),
    CONSTRAINT names_type CHECK (((type = ANY (ARRAY['A'::text, 'AAAA'::text])) AND (family(address) =
CASE type
    WHEN 'A'::text THEN 4
    ELSE 6
END) AND (family(points_at) = family(address))))
);


--
-- Name: outbox; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.outbox (
    id bigint NOT NULL,
    key text NOT NULL,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    delivered_at timestamp with time zone,
    last_error text,
    channel text DEFAULT 'webhook'::text NOT NULL,
    CONSTRAINT outbox_channel CHECK ((channel = ANY (ARRAY['webhook'::text, 'mail'::text])))
);


--
-- Name: outbox_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: plan_prices; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.plan_prices (
    plan text NOT NULL,
    monthly_price numeric NOT NULL,
    currency text NOT NULL,
    valid_from date NOT NULL,
    CONSTRAINT plan_prices_price CHECK (((monthly_price >= (0)::numeric) AND (monthly_price < 'Infinity'::numeric) AND (currency ~ '^[A-Z]{3}$'::text)))
);


--
-- Name: plans; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.plans (
    name text NOT NULL,
    cpus integer NOT NULL,
    memory_bytes bigint NOT NULL,
    disk_bytes bigint NOT NULL,
    larger_transit boolean DEFAULT false NOT NULL,
    reinstall_needs_approval boolean DEFAULT false NOT NULL,
    CONSTRAINT plans_name CHECK ((name ~ '^[[:print:]]{1,64}$'::text)),
    CONSTRAINT plans_sizes CHECK (((cpus > 0) AND (memory_bytes > 0) AND (disk_bytes > 0)))
);


--
-- Name: servers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.servers (
    name text NOT NULL,
    kind text NOT NULL,
    plan text NOT NULL,
    infrastructure text NOT NULL,
    customer text,
    management_address inet NOT NULL,
    lan_address inet NOT NULL,
    lan_address6 inet NOT NULL,
    state text NOT NULL,
    state_since timestamp with time zone DEFAULT now() NOT NULL,
    host_key text,
    versions jsonb DEFAULT '{}'::jsonb NOT NULL,
    description jsonb,
    described_at timestamp with time zone,
    paused_because text,
    reserved_for text,
    CONSTRAINT servers_addresses_are_hosts CHECK (((masklen(management_address) =
CASE family(management_address)
    WHEN 4 THEN 32
    ELSE 128
END) AND (family(lan_address) = 4) AND (masklen(lan_address) = 32) AND (family(lan_address6) = 6) AND (masklen(lan_address6) = 128))),
    CONSTRAINT servers_customer CHECK (((kind = ANY (ARRAY['dedicated'::text, 'vps'::text])) = (customer IS NOT NULL))),
    CONSTRAINT servers_host_key CHECK ((host_key ~ '^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$'::text)),
    CONSTRAINT servers_kind CHECK ((kind = ANY (ARRAY['shared'::text, 'dedicated'::text, 'vps'::text, 'transit'::text, 'test'::text, 'database'::text]))),
    CONSTRAINT servers_name_is_a_label CHECK ((name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'::text)),
    CONSTRAINT servers_reserved_is_transit CHECK (((kind = 'transit'::text) OR (reserved_for IS NULL))),
    CONSTRAINT servers_state_fits_kind CHECK (((kind = 'transit'::text) = (state = ANY (ARRAY['free'::text, 'assigned'::text, 'handed_over'::text, 'wiped'::text]))))
);


--
-- Name: states; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.states (
    subject text NOT NULL,
    state text NOT NULL,
    initial boolean NOT NULL,
    sentence text NOT NULL
);


--
-- Name: tests; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tests (
    id bigint NOT NULL,
    account text NOT NULL,
    entry text NOT NULL,
    server text NOT NULL,
    epoch bigint NOT NULL,
    run_id text NOT NULL,
    requested_by text NOT NULL,
    state text NOT NULL,
    state_since timestamp with time zone DEFAULT now() NOT NULL,
    names jsonb DEFAULT '{}'::jsonb NOT NULL,
    expires_at timestamp with time zone,
    report jsonb,
    blockers integer,
    warnings integer,
    failure text,
    began_at timestamp with time zone DEFAULT now() NOT NULL,
    tested_at timestamp with time zone,
    ended_at timestamp with time zone,
    key text NOT NULL,
    CONSTRAINT tests_counts CHECK (((blockers >= 0) AND (warnings >= 0))),
    CONSTRAINT tests_ready_expires CHECK (((state <> 'ready'::text) OR (expires_at IS NOT NULL))),
    CONSTRAINT tests_report CHECK ((num_nonnulls(report, blockers, warnings, tested_at) = ANY (ARRAY[0, 4])))
);


--
-- Name: tests_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.tests ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.tests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: transit_requests; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.transit_requests (
    id bigint NOT NULL,
    migration bigint NOT NULL,
    plan text NOT NULL,
    rank numeric NOT NULL,
    transit text,
    state text NOT NULL,
    state_since timestamp with time zone DEFAULT now() NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT transit_requests_transit_is_known CHECK (((transit IS NOT NULL) = (state = ANY (ARRAY['assigned'::text, 'returned_to_pool'::text]))))
);


--
-- Name: transit_requests_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.transit_requests ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.transit_requests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: transitions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.transitions (
    subject text NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    reason text NOT NULL
);


--
-- Name: moves key; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moves ALTER COLUMN key SET DEFAULT public.new_key('m'::text, currval('public.moves_id_seq'::regclass));


--
-- Name: tests key; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tests ALTER COLUMN key SET DEFAULT public.new_key('t'::text, currval('public.tests_id_seq'::regclass));


--
-- Data for Name: account_engines; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.account_engines (account, engine, server, since) FROM stdin;
\.


--
-- Data for Name: accounts; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.accounts (name, server, home_server, epoch, domains, description, described_at, added_at, removed_at, customer, stated) FROM stdin;
\.


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.alembic_version (version_num) FROM stdin;
0013
\.


--
-- Data for Name: billing_changes; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.billing_changes (id, lease, plan) FROM stdin;
\.


--
-- Data for Name: billing_days; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.billing_days (day, charges, billed_at) FROM stdin;
\.


--
-- Data for Name: billing_settings; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.billing_settings (only_row, free_days) FROM stdin;
t	7
\.


--
-- Data for Name: billing_time_zones; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.billing_time_zones (valid_from, zone) FROM stdin;
\.


--
-- Data for Name: cached_names; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.cached_names (fqdn, type, address, until) FROM stdin;
\.


--
-- Data for Name: campaign_accounts; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.campaign_accounts (campaign, account, wave, state, state_since, reason) FROM stdin;
\.


--
-- Data for Name: campaigns; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.campaigns (id, entry, run_id, requested_by, state, state_since, settings, why, began_at, ended_at) FROM stdin;
\.


--
-- Data for Name: catalogue; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.catalogue (name, kind, from_version, to_version, title, mandatory, opens, deadline) FROM stdin;
\.


--
-- Data for Name: currencies; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.currencies (code, minor_digits) FROM stdin;
BIF	0
CLP	0
DJF	0
GNF	0
ISK	0
JPY	0
KMF	0
KRW	0
PYG	0
RWF	0
UGX	0
UYI	0
VND	0
VUV	0
XAF	0
XOF	0
XPF	0
AED	2
AFN	2
ALL	2
AMD	2
ANG	2
AOA	2
ARS	2
AUD	2
AWG	2
AZN	2
BAM	2
BBD	2
BDT	2
BGN	2
BMD	2
BND	2
BOB	2
BOV	2
BRL	2
BSD	2
BTN	2
BWP	2
BYN	2
BZD	2
CAD	2
CDF	2
CHE	2
CHF	2
CHW	2
CNY	2
COP	2
COU	2
CRC	2
CUP	2
CVE	2
CZK	2
DKK	2
DOP	2
DZD	2
EGP	2
ERN	2
ETB	2
EUR	2
FJD	2
FKP	2
GBP	2
GEL	2
GHS	2
GIP	2
GMD	2
GTQ	2
GYD	2
HKD	2
HNL	2
HTG	2
HUF	2
IDR	2
ILS	2
INR	2
IRR	2
JMD	2
KES	2
KGS	2
KHR	2
KPW	2
KYD	2
KZT	2
LAK	2
LBP	2
LKR	2
LRD	2
LSL	2
MAD	2
MDL	2
MGA	2
MKD	2
MMK	2
MNT	2
MOP	2
MRU	2
MUR	2
MVR	2
MWK	2
MXN	2
MXV	2
MYR	2
MZN	2
NAD	2
NGN	2
NIO	2
NOK	2
NPR	2
NZD	2
PAB	2
PEN	2
PGK	2
PHP	2
PKR	2
PLN	2
QAR	2
RON	2
RSD	2
RUB	2
SAR	2
SBD	2
SCR	2
SDG	2
SEK	2
SGD	2
SHP	2
SLE	2
SOS	2
SRD	2
SSP	2
STN	2
SVC	2
SYP	2
SZL	2
THB	2
TJS	2
TMT	2
TOP	2
TRY	2
TTD	2
TWD	2
TZS	2
UAH	2
USD	2
USN	2
UYU	2
UZS	2
VED	2
VES	2
WST	2
XCD	2
XCG	2
YER	2
ZAR	2
ZMW	2
ZWG	2
BHD	3
IQD	3
JOD	3
KWD	3
LYD	3
OMR	3
TND	3
CLF	4
UYW	4
\.


--
-- Data for Name: customers; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.customers (name, mail) FROM stdin;
\.


--
-- Data for Name: entry_reminders; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.entry_reminders (entry, account, kind, created_at) FROM stdin;
\.


--
-- Data for Name: event_cursors; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.event_cursors (name, last_event) FROM stdin;
\.


--
-- Data for Name: events; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.events (id, at, kind, migration, account, server, move, by, detail, customer) FROM stdin;
\.


--
-- Data for Name: ips; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.ips (address, home_server, routed_to) FROM stdin;
\.


--
-- Data for Name: lease_corrections; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.lease_corrections (id, lease, handed_over_at, last_account_left_at, free_days, reason, corrected_by, corrected_at) FROM stdin;
\.


--
-- Data for Name: lease_reminders; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.lease_reminders (lease, kind, created_at) FROM stdin;
\.


--
-- Data for Name: leases; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.leases (id, migration, transit, server, plan, handed_over_at, expected_end_at, last_account_left_at, ended_at, free_days) FROM stdin;
\.


--
-- Data for Name: ledger_entries; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.ledger_entries (id, lease, day, number, kind, amount, currency, monthly_price, reason, corrects, entered_at) FROM stdin;
\.


--
-- Data for Name: ledger_exports; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.ledger_exports (id, system, after_entry, through_entry, entries, exported_at) FROM stdin;
\.


--
-- Data for Name: migrations; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.migrations (id, server, entry, from_infrastructure, to_infrastructure, transit, run_id, requested_by, state, state_since, began_at, lift_gate_because, disk_kept, disk_discarded_at, taken_back_because) FROM stdin;
\.


--
-- Data for Name: moves; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.moves (id, account, migration, original, from_server, to_server, direction, epoch, run_id, requested_by, state, state_since, began_at, committed_at, ended_at, figures, entry, engine, lift_gate_because, key) FROM stdin;
\.


--
-- Data for Name: names; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.names (fqdn, type, account, address, points_at, ttl, ttl_now, lowered, left_because) FROM stdin;
\.


--
-- Data for Name: outbox; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.outbox (id, key, kind, payload, created_at, attempts, next_attempt_at, delivered_at, last_error, channel) FROM stdin;
\.


--
-- Data for Name: plan_prices; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.plan_prices (plan, monthly_price, currency, valid_from) FROM stdin;
\.


--
-- Data for Name: plans; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.plans (name, cpus, memory_bytes, disk_bytes, larger_transit, reinstall_needs_approval) FROM stdin;
\.


--
-- Data for Name: servers; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.servers (name, kind, plan, infrastructure, customer, management_address, lan_address, lan_address6, state, state_since, host_key, versions, description, described_at, paused_because, reserved_for) FROM stdin;
\.


--
-- Data for Name: states; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.states (subject, state, initial, sentence) FROM stdin;
migration	checking	t	The server and its accounts are looked at; nothing has changed yet.
migration	waiting_for_transit	f	A transit of the same plan is asked for; the request waits its turn.
migration	installing_transit	f	A transit is assigned and is being installed with the new version.
migration	handed_over	f	The transit is the customer's to use: they perform their accounts, one by one.
migration	accounts_moved	f	Every account lives on the transit.
migration	rerouted	f	The original's IPs are routed to the transit.
migration	original_empty	f	The registry and the original itself say that no account lives on it.
migration	reinstalling	f	The original is being reinstalled with the new version.
migration	reinstalled	f	The original runs the new version and is enrolled; accounts may move back.
migration	accounts_home	f	Every account lives on the original again.
migration	home	f	IPs and names are at the original again; nobody needs the transit.
migration	done	f	The transit is wiped and back in the pool; the report is written.
migration	failed	f	Given up by the host: before any account was performed, or when its transit died.
migration	cancelled	f	Cancelled by the customer or by ops before any account was performed.
move	preparing	t	The two servers are paired; nothing is copied yet.
move	copying	f	The account is copied while it goes on serving from where it lives.
move	switching	f	The account may be held: the last of it is copied and verified.
move	committed	f	What was moved lives on the other server; what is left to do goes forward.
move	done	f	The old copy is removed and nothing of the move is left on the two servers.
move	returned	f	The move did not commit; the account never left.
test	preparing	t	A test server is chosen; nothing is copied yet.
test	copying	f	The account is copied while it goes on serving; then the copy is opened and looked at.
test	ready	f	The copy answers under its test names until it expires.
test	removing	f	The copy is being removed: it has failed, expired or is replaced.
test	removed	f	Nothing of the copy is left; the report stays.
campaign	running	t	Accounts are tested and performed, wave by wave.
campaign	paused	f	No further account is begun; what is under way goes on.
campaign	stopped	f	Ended by ops, or because too many of a wave failed; accounts that waited were left.
campaign	done	f	Every account was performed, or says why it was not.
campaign_account	waiting	t	It waits for its wave.
campaign_account	testing	f	It is tested, since it never was.
campaign_account	performing	f	It is performed.
campaign_account	done	f	It runs the new version.
campaign_account	failed	f	Its test or its move failed; it is where it was.
campaign_account	left	f	It is left where it is, for a reason that is not ours to mend.
server	serving	t	In service: accounts live on it, or their databases, or test copies.
server	reinstalling	f	An original that is being reinstalled: no account lives on it or can be added.
server	free	t	A transit in the pool: nothing of any customer is on it.
server	assigned	f	A transit that is being installed for a migration.
server	handed_over	f	A transit under a lease: accounts live on it.
server	wiped	f	A transit with no trace of its last customer.
request	waiting	t	In the queue.
request	assigned	f	A transit is this migration's.
request	returned_to_pool	f	The transit was wiped and is back in the pool.
request	cancelled	f	Left the queue without a transit.
\.


--
-- Data for Name: tests; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.tests (id, account, entry, server, epoch, run_id, requested_by, state, state_since, names, expires_at, report, blockers, warnings, failure, began_at, tested_at, ended_at, key) FROM stdin;
\.


--
-- Data for Name: transit_requests; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.transit_requests (id, migration, plan, rank, transit, state, state_since, requested_at) FROM stdin;
\.


--
-- Data for Name: transitions; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.transitions (subject, source, target, reason) FROM stdin;
migration	checking	waiting_for_transit	a transit is requested
migration	waiting_for_transit	installing_transit	a transit is assigned
migration	installing_transit	handed_over	it runs the new version, and its lease starts
migration	handed_over	accounts_moved	the last account has left the original
migration	accounts_moved	rerouted	every IP is routed to the transit
migration	rerouted	original_empty	the original proved to be empty
migration	original_empty	reinstalling	no account lives on it at this moment
migration	reinstalling	reinstalled	the original is enrolled with the new version
migration	reinstalled	accounts_home	the last account has moved back
migration	accounts_home	home	every IP and every name is back
migration	home	done	the transit is wiped and back in the pool
migration	checking	failed	the host gives up
migration	waiting_for_transit	failed	the host gives up
migration	installing_transit	failed	the host gives up
migration	handed_over	failed	the host gives up
migration	accounts_moved	failed	the transit died, and the original serves again
migration	rerouted	failed	the transit died, and the original serves again
migration	original_empty	failed	the transit died, and the original serves again
migration	checking	cancelled	no account was performed yet
migration	waiting_for_transit	cancelled	no account was performed yet
migration	installing_transit	cancelled	no account was performed yet
migration	handed_over	cancelled	no account was performed yet
move	preparing	copying	the servers are paired
move	copying	switching	the copy is close enough to hold
move	switching	committed	verified equal, and the source's record is written
move	committed	done	released and tidied up
move	preparing	returned	failed before the copy
move	copying	returned	failed while copying
move	switching	returned	failed before commit
move	returned	preparing	the same run tries again, with a new epoch
test	preparing	copying	the two servers are paired
test	copying	ready	the copy answers under its test names
test	preparing	removing	failed before the copy
test	copying	removing	failed while copying
test	ready	removing	expired, or replaced by another test
test	removing	removed	the test server says that it is gone
test	removed	preparing	the same run tries again, with a new epoch
campaign	running	paused	ops pause it
campaign	paused	running	ops resume it
campaign	running	stopped	too many failed, or ops stop it
campaign	paused	stopped	too many failed, or ops stop it
campaign	running	done	no account is left
campaign	paused	done	no account is left
campaign_account	waiting	testing	its wave has come and it was never tested
campaign_account	waiting	performing	its wave has come and its test found no blocker
campaign_account	waiting	left	its test found blockers, or the campaign was stopped
campaign_account	waiting	done	its customer was first
campaign_account	testing	performing	its test found no blocker
campaign_account	testing	left	its test found blockers, or the campaign was stopped
campaign_account	testing	failed	its test failed
campaign_account	testing	done	its customer was first
campaign_account	performing	done	its move is done
campaign_account	performing	failed	its move failed
campaign_account	performing	left	it cannot be moved for a reason that is not ours to mend
server	serving	reinstalling	no account lives on it
server	reinstalling	serving	enrolled with the new version
server	free	assigned	first in the queue got it
server	assigned	handed_over	installed with the new version
server	assigned	wiped	the migration was given up before the hand-over
server	handed_over	wiped	no account lives on it and no other server's IP is routed to it
server	wiped	free	back to the pool
request	waiting	assigned	a transit is free and nobody is before
request	waiting	cancelled	the migration was given up
request	assigned	returned_to_pool	the transit is wiped
\.


--
-- Name: billing_changes_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.billing_changes_id_seq', 1, false);


--
-- Name: campaigns_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.campaigns_id_seq', 1, false);


--
-- Name: events_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.events_id_seq', 1, false);


--
-- Name: lease_corrections_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.lease_corrections_id_seq', 1, false);


--
-- Name: leases_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.leases_id_seq', 1, false);


--
-- Name: ledger_entries_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.ledger_entries_id_seq', 1, false);


--
-- Name: ledger_exports_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.ledger_exports_id_seq', 1, false);


--
-- Name: migrations_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.migrations_id_seq', 1, false);


--
-- Name: moves_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.moves_id_seq', 1, false);


--
-- Name: outbox_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.outbox_id_seq', 1, false);


--
-- Name: tests_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.tests_id_seq', 1, false);


--
-- Name: transit_requests_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.transit_requests_id_seq', 1, false);


--
-- Name: account_engines account_engines_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.account_engines
    ADD CONSTRAINT account_engines_pkey PRIMARY KEY (account, engine);


--
-- Name: accounts accounts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (name);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: billing_changes billing_changes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.billing_changes
    ADD CONSTRAINT billing_changes_pkey PRIMARY KEY (id);


--
-- Name: billing_days billing_days_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.billing_days
    ADD CONSTRAINT billing_days_pkey PRIMARY KEY (day);


--
-- Name: billing_settings billing_settings_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.billing_settings
    ADD CONSTRAINT billing_settings_pkey PRIMARY KEY (only_row);


--
-- Name: billing_time_zones billing_time_zones_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.billing_time_zones
    ADD CONSTRAINT billing_time_zones_pkey PRIMARY KEY (valid_from);


--
-- Name: cached_names cached_names_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cached_names
    ADD CONSTRAINT cached_names_pkey PRIMARY KEY (fqdn, type, address);


--
-- Name: campaign_accounts campaign_accounts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.campaign_accounts
    ADD CONSTRAINT campaign_accounts_pkey PRIMARY KEY (campaign, account);


--
-- Name: campaigns campaigns_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.campaigns
    ADD CONSTRAINT campaigns_pkey PRIMARY KEY (id);


--
-- Name: campaigns campaigns_run_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.campaigns
    ADD CONSTRAINT campaigns_run_id_key UNIQUE (run_id);


--
-- Name: catalogue catalogue_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.catalogue
    ADD CONSTRAINT catalogue_pkey PRIMARY KEY (name);


--
-- Name: currencies currencies_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.currencies
    ADD CONSTRAINT currencies_pkey PRIMARY KEY (code);


--
-- Name: customers customers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.customers
    ADD CONSTRAINT customers_pkey PRIMARY KEY (name);


--
-- Name: entry_reminders entry_reminders_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.entry_reminders
    ADD CONSTRAINT entry_reminders_pkey PRIMARY KEY (entry, account, kind);


--
-- Name: event_cursors event_cursors_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.event_cursors
    ADD CONSTRAINT event_cursors_pkey PRIMARY KEY (name);


--
-- Name: events events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);


--
-- Name: ips ips_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ips
    ADD CONSTRAINT ips_pkey PRIMARY KEY (address);


--
-- Name: lease_corrections lease_corrections_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lease_corrections
    ADD CONSTRAINT lease_corrections_pkey PRIMARY KEY (id);


--
-- Name: lease_reminders lease_reminders_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lease_reminders
    ADD CONSTRAINT lease_reminders_pkey PRIMARY KEY (lease, kind);


--
-- Name: leases leases_migration_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_migration_key UNIQUE (migration);


--
-- Name: leases leases_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (id);


--
-- Name: ledger_entries ledger_entries_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ledger_entries
    ADD CONSTRAINT ledger_entries_once UNIQUE (lease, day, number);


--
-- Name: ledger_entries ledger_entries_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ledger_entries
    ADD CONSTRAINT ledger_entries_pkey PRIMARY KEY (id);


--
-- Name: ledger_exports ledger_exports_once; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ledger_exports
    ADD CONSTRAINT ledger_exports_once UNIQUE (system, after_entry);


--
-- Name: ledger_exports ledger_exports_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ledger_exports
    ADD CONSTRAINT ledger_exports_pkey PRIMARY KEY (id);


--
-- Name: migrations migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (id);


--
-- Name: migrations migrations_run_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.migrations
    ADD CONSTRAINT migrations_run_id_key UNIQUE (run_id);


--
-- Name: moves moves_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moves
    ADD CONSTRAINT moves_key UNIQUE (key);


--
-- Name: moves moves_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moves
    ADD CONSTRAINT moves_pkey PRIMARY KEY (id);


--
-- Name: moves moves_run_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moves
    ADD CONSTRAINT moves_run_id_key UNIQUE (run_id);


--
-- Name: names names_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.names
    ADD CONSTRAINT names_pkey PRIMARY KEY (fqdn, type);


--
-- Name: outbox outbox_key_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_key_key UNIQUE (key);


--
-- Name: outbox outbox_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);


--
-- Name: plan_prices plan_prices_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.plan_prices
    ADD CONSTRAINT plan_prices_pkey PRIMARY KEY (plan, valid_from);


--
-- Name: plans plans_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.plans
    ADD CONSTRAINT plans_pkey PRIMARY KEY (name);


--
-- Name: servers servers_lan_address6_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.servers
    ADD CONSTRAINT servers_lan_address6_key UNIQUE (lan_address6);


--
-- Name: servers servers_lan_address_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.servers
    ADD CONSTRAINT servers_lan_address_key UNIQUE (lan_address);


--
-- Name: servers servers_management_address_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.servers
    ADD CONSTRAINT servers_management_address_key UNIQUE (management_address);


--
-- Name: servers servers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.servers
    ADD CONSTRAINT servers_pkey PRIMARY KEY (name);


--
-- Name: states states_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.states
    ADD CONSTRAINT states_pkey PRIMARY KEY (subject, state);


--
-- Name: tests tests_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tests
    ADD CONSTRAINT tests_key UNIQUE (key);


--
-- Name: tests tests_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tests
    ADD CONSTRAINT tests_pkey PRIMARY KEY (id);


--
-- Name: tests tests_run_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tests
    ADD CONSTRAINT tests_run_id_key UNIQUE (run_id);


--
-- Name: transit_requests transit_requests_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.transit_requests
    ADD CONSTRAINT transit_requests_pkey PRIMARY KEY (id);


--
-- Name: transitions transitions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_pkey PRIMARY KEY (subject, source, target);


--
-- Name: account_engines_server; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX account_engines_server ON public.account_engines USING btree (server);


--
-- Name: accounts_customer_index; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX accounts_customer_index ON public.accounts USING btree (customer);


--
-- Name: accounts_home_server; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX accounts_home_server ON public.accounts USING btree (home_server);


--
-- Name: accounts_server; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX accounts_server ON public.accounts USING btree (server);


--
-- Name: campaign_accounts_account; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX campaign_accounts_account ON public.campaign_accounts USING btree (account);


--
-- Name: events_account; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX events_account ON public.events USING btree (account, id);


--
-- Name: events_customer; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX events_customer ON public.events USING btree (customer, id);


--
-- Name: events_migration; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX events_migration ON public.events USING btree (migration, id);


--
-- Name: ips_home_server; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ips_home_server ON public.ips USING btree (home_server);


--
-- Name: lease_corrections_lease; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lease_corrections_lease ON public.lease_corrections USING btree (lease);


--
-- Name: migrations_transit; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX migrations_transit ON public.migrations USING btree (transit);


--
-- Name: moves_account; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX moves_account ON public.moves USING btree (account);


--
-- Name: moves_migration; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX moves_migration ON public.moves USING btree (migration);


--
-- Name: moves_over_from; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX moves_over_from ON public.moves USING btree (from_server) WHERE ((state <> ALL (ARRAY['done'::text, 'returned'::text])) AND (direction = 'over'::text));


--
-- Name: moves_over_to; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX moves_over_to ON public.moves USING btree (to_server) WHERE ((state <> ALL (ARRAY['done'::text, 'returned'::text])) AND (direction = 'over'::text));


--
-- Name: names_account; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX names_account ON public.names USING btree (account);


--
-- Name: one_assignment_a_transit; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX one_assignment_a_transit ON public.transit_requests USING btree (transit) WHERE (state = 'assigned'::text);


--
-- Name: one_live_campaign_an_entry; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX one_live_campaign_an_entry ON public.campaigns USING btree (entry) WHERE (state = ANY (ARRAY['running'::text, 'paused'::text]));


--
-- Name: one_live_lease_a_transit; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX one_live_lease_a_transit ON public.leases USING btree (transit) WHERE (ended_at IS NULL);


--
-- Name: one_live_migration_a_server; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX one_live_migration_a_server ON public.migrations USING btree (server) WHERE (state <> ALL (ARRAY['done'::text, 'failed'::text, 'cancelled'::text]));


--
-- Name: one_live_move_a_server; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX one_live_move_a_server ON public.moves USING btree (original) WHERE ((state <> ALL (ARRAY['done'::text, 'returned'::text])) AND (direction <> 'over'::text));


--
-- Name: one_live_move_an_account; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX one_live_move_an_account ON public.moves USING btree (account) WHERE (state <> ALL (ARRAY['done'::text, 'returned'::text]));


--
-- Name: one_live_request_a_migration; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX one_live_request_a_migration ON public.transit_requests USING btree (migration) WHERE (state <> 'cancelled'::text);


--
-- Name: one_live_test_an_account; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX one_live_test_an_account ON public.tests USING btree (account) WHERE (state <> 'removed'::text);


--
-- Name: outbox_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX outbox_due ON public.outbox USING btree (channel, next_attempt_at) WHERE (delivered_at IS NULL);


--
-- Name: tests_account; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX tests_account ON public.tests USING btree (account, entry, tested_at);


--
-- Name: tests_server; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX tests_server ON public.tests USING btree (server) WHERE (state <> 'removed'::text);


--
-- Name: transit_requests_queue; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX transit_requests_queue ON public.transit_requests USING btree (rank, id) WHERE (state = 'waiting'::text);


--
-- Name: campaign_accounts a_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON public.campaign_accounts FOR EACH ROW EXECUTE FUNCTION public.check_transition('campaign_account');


--
-- Name: campaigns a_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON public.campaigns FOR EACH ROW EXECUTE FUNCTION public.check_transition('campaign');


--
-- Name: migrations a_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON public.migrations FOR EACH ROW EXECUTE FUNCTION public.check_transition('migration');


--
-- Name: moves a_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON public.moves FOR EACH ROW EXECUTE FUNCTION public.check_transition('move');


--
-- Name: servers a_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON public.servers FOR EACH ROW EXECUTE FUNCTION public.check_transition('server');


--
-- Name: tests a_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON public.tests FOR EACH ROW EXECUTE FUNCTION public.check_transition('test');


--
-- Name: transit_requests a_transition; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON public.transit_requests FOR EACH ROW EXECUTE FUNCTION public.check_transition('request');


--
-- Name: events a_writes; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER a_writes BEFORE INSERT ON public.events FOR EACH STATEMENT EXECUTE FUNCTION public.writes_events();


--
-- Name: billing_days append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.billing_days FOR EACH STATEMENT EXECUTE FUNCTION public.billing_append_only();


--
-- Name: billing_time_zones append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.billing_time_zones FOR EACH STATEMENT EXECUTE FUNCTION public.billing_append_only();


--
-- Name: entry_reminders append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON public.entry_reminders FOR EACH ROW EXECUTE FUNCTION public.keep();


--
-- Name: events append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON public.events FOR EACH ROW EXECUTE FUNCTION public.keep();


--
-- Name: lease_corrections append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.lease_corrections FOR EACH STATEMENT EXECUTE FUNCTION public.billing_append_only();


--
-- Name: lease_reminders append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.lease_reminders FOR EACH STATEMENT EXECUTE FUNCTION public.billing_append_only();


--
-- Name: ledger_entries append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION public.billing_append_only();


--
-- Name: ledger_exports append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.ledger_exports FOR EACH STATEMENT EXECUTE FUNCTION public.billing_append_only();


--
-- Name: outbox append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON public.outbox FOR EACH STATEMENT EXECUTE FUNCTION public.billing_append_only();


--
-- Name: events append_only_whole; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON public.events FOR EACH STATEMENT EXECUTE FUNCTION public.keep();


--
-- Name: events b_customer; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_customer BEFORE INSERT ON public.events FOR EACH ROW EXECUTE FUNCTION public.tell_customer();


--
-- Name: account_engines b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON public.account_engines FOR EACH ROW EXECUTE FUNCTION public.check_engine();


--
-- Name: accounts b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON public.accounts FOR EACH ROW EXECUTE FUNCTION public.check_account();


--
-- Name: campaign_accounts b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE UPDATE ON public.campaign_accounts FOR EACH ROW EXECUTE FUNCTION public.check_campaign_account();


--
-- Name: campaigns b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE UPDATE ON public.campaigns FOR EACH ROW EXECUTE FUNCTION public.check_campaign();


--
-- Name: catalogue b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE UPDATE ON public.catalogue FOR EACH ROW EXECUTE FUNCTION public.check_entry();


--
-- Name: ips b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON public.ips FOR EACH ROW EXECUTE FUNCTION public.check_ip();


--
-- Name: leases b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE UPDATE ON public.leases FOR EACH ROW EXECUTE FUNCTION public.check_lease();


--
-- Name: migrations b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE UPDATE ON public.migrations FOR EACH ROW EXECUTE FUNCTION public.check_migration();


--
-- Name: moves b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON public.moves FOR EACH ROW EXECUTE FUNCTION public.check_move();


--
-- Name: servers b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE UPDATE ON public.servers FOR EACH ROW EXECUTE FUNCTION public.check_server();


--
-- Name: tests b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE INSERT OR UPDATE ON public.tests FOR EACH ROW EXECUTE FUNCTION public.check_test();


--
-- Name: transit_requests b_facts; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_facts BEFORE UPDATE ON public.transit_requests FOR EACH ROW EXECUTE FUNCTION public.check_request();


--
-- Name: migrations b_gate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER b_gate BEFORE INSERT ON public.migrations FOR EACH ROW EXECUTE FUNCTION public.check_migration_begins();


--
-- Name: lease_corrections billing_notes; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER billing_notes AFTER INSERT ON public.lease_corrections FOR EACH ROW EXECUTE FUNCTION public.billing_notes_correction();


--
-- Name: leases billing_notes; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER billing_notes AFTER INSERT OR UPDATE OF handed_over_at, last_account_left_at, ended_at, plan ON public.leases FOR EACH ROW EXECUTE FUNCTION public.billing_notes_lease();


--
-- Name: plan_prices billing_notes; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER billing_notes AFTER INSERT OR DELETE OR UPDATE ON public.plan_prices FOR EACH ROW EXECUTE FUNCTION public.billing_notes_price();


--
-- Name: accounts c_home; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER c_home BEFORE INSERT OR UPDATE OF home_server, customer ON public.accounts FOR EACH ROW EXECUTE FUNCTION public.check_home();


--
-- Name: servers c_migration; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER c_migration BEFORE UPDATE ON public.servers FOR EACH ROW EXECUTE FUNCTION public.check_original();


--
-- Name: moves commit; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER commit AFTER UPDATE ON public.moves FOR EACH ROW WHEN (((new.state = 'committed'::text) AND (old.state <> 'committed'::text))) EXECUTE FUNCTION public.commit_move();


--
-- Name: plan_prices fits_currency; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER fits_currency BEFORE INSERT OR UPDATE ON public.plan_prices FOR EACH ROW EXECUTE FUNCTION public.plan_price_fits_currency();


--
-- Name: migrations follow; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER follow AFTER UPDATE ON public.migrations FOR EACH ROW WHEN ((new.state <> old.state)) EXECUTE FUNCTION public.follow_migration();


--
-- Name: leases free_days_stay; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER free_days_stay BEFORE UPDATE ON public.leases FOR EACH ROW WHEN ((new.free_days <> old.free_days)) EXECUTE FUNCTION public.lease_free_days_stay();


--
-- Name: billing_time_zones is_new; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER is_new BEFORE INSERT ON public.billing_time_zones FOR EACH ROW EXECUTE FUNCTION public.billing_time_zone_is_new();


--
-- Name: accounts keep; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER keep BEFORE DELETE ON public.accounts FOR EACH ROW EXECUTE FUNCTION public.keep();


--
-- Name: campaign_accounts keep; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER keep BEFORE DELETE ON public.campaign_accounts FOR EACH ROW EXECUTE FUNCTION public.keep();


--
-- Name: campaigns keep; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER keep BEFORE DELETE ON public.campaigns FOR EACH ROW EXECUTE FUNCTION public.keep();


--
-- Name: catalogue keep; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER keep BEFORE DELETE ON public.catalogue FOR EACH ROW EXECUTE FUNCTION public.keep();


--
-- Name: leases keep; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER keep BEFORE DELETE ON public.leases FOR EACH ROW EXECUTE FUNCTION public.keep();


--
-- Name: migrations keep; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER keep BEFORE DELETE ON public.migrations FOR EACH ROW EXECUTE FUNCTION public.keep();


--
-- Name: moves keep; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER keep BEFORE DELETE ON public.moves FOR EACH ROW EXECUTE FUNCTION public.keep();


--
-- Name: tests keep; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER keep BEFORE DELETE ON public.tests FOR EACH ROW EXECUTE FUNCTION public.keep();


--
-- Name: transit_requests keep; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER keep BEFORE DELETE ON public.transit_requests FOR EACH ROW EXECUTE FUNCTION public.keep();


--
-- Name: plan_prices keep_past; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER keep_past BEFORE DELETE OR UPDATE ON public.plan_prices FOR EACH ROW EXECUTE FUNCTION public.keep_past_prices();


--
-- Name: outbox message_stays; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER message_stays BEFORE UPDATE OF id, key, kind, payload, created_at ON public.outbox FOR EACH STATEMENT EXECUTE FUNCTION public.outbox_message_stays();


--
-- Name: ledger_entries one_writer; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER one_writer BEFORE INSERT ON public.ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION public.billing_lock();


--
-- Name: events z_call; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER z_call AFTER INSERT ON public.events FOR EACH STATEMENT EXECUTE FUNCTION public.call_listeners();


--
-- Name: account_engines account_engines_account_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.account_engines
    ADD CONSTRAINT account_engines_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(name);


--
-- Name: account_engines account_engines_server_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.account_engines
    ADD CONSTRAINT account_engines_server_fkey FOREIGN KEY (server) REFERENCES public.servers(name);


--
-- Name: accounts accounts_home_server_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_home_server_fkey FOREIGN KEY (home_server) REFERENCES public.servers(name);


--
-- Name: accounts accounts_server_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_server_fkey FOREIGN KEY (server) REFERENCES public.servers(name);


--
-- Name: billing_changes billing_changes_lease_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.billing_changes
    ADD CONSTRAINT billing_changes_lease_fkey FOREIGN KEY (lease) REFERENCES public.leases(id);


--
-- Name: billing_changes billing_changes_plan_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.billing_changes
    ADD CONSTRAINT billing_changes_plan_fkey FOREIGN KEY (plan) REFERENCES public.plans(name);


--
-- Name: cached_names cached_names_fqdn_type_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cached_names
    ADD CONSTRAINT cached_names_fqdn_type_fkey FOREIGN KEY (fqdn, type) REFERENCES public.names(fqdn, type) ON DELETE CASCADE;


--
-- Name: campaign_accounts campaign_accounts_account_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.campaign_accounts
    ADD CONSTRAINT campaign_accounts_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(name);


--
-- Name: campaign_accounts campaign_accounts_campaign_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.campaign_accounts
    ADD CONSTRAINT campaign_accounts_campaign_fkey FOREIGN KEY (campaign) REFERENCES public.campaigns(id);


--
-- Name: campaigns campaigns_entry_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.campaigns
    ADD CONSTRAINT campaigns_entry_fkey FOREIGN KEY (entry) REFERENCES public.catalogue(name);


--
-- Name: entry_reminders entry_reminders_account_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.entry_reminders
    ADD CONSTRAINT entry_reminders_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(name);


--
-- Name: entry_reminders entry_reminders_entry_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.entry_reminders
    ADD CONSTRAINT entry_reminders_entry_fkey FOREIGN KEY (entry) REFERENCES public.catalogue(name);


--
-- Name: events events_account_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(name);


--
-- Name: events events_migration_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_migration_fkey FOREIGN KEY (migration) REFERENCES public.migrations(id);


--
-- Name: events events_move_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_move_fkey FOREIGN KEY (move) REFERENCES public.moves(id);


--
-- Name: events events_server_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_server_fkey FOREIGN KEY (server) REFERENCES public.servers(name);


--
-- Name: ips ips_home_server_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ips
    ADD CONSTRAINT ips_home_server_fkey FOREIGN KEY (home_server) REFERENCES public.servers(name);


--
-- Name: ips ips_routed_to_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ips
    ADD CONSTRAINT ips_routed_to_fkey FOREIGN KEY (routed_to) REFERENCES public.servers(name);


--
-- Name: lease_corrections lease_corrections_lease_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lease_corrections
    ADD CONSTRAINT lease_corrections_lease_fkey FOREIGN KEY (lease) REFERENCES public.leases(id);


--
-- Name: lease_reminders lease_reminders_lease_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lease_reminders
    ADD CONSTRAINT lease_reminders_lease_fkey FOREIGN KEY (lease) REFERENCES public.leases(id);


--
-- Name: leases leases_migration_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_migration_fkey FOREIGN KEY (migration) REFERENCES public.migrations(id);


--
-- Name: leases leases_plan_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_plan_fkey FOREIGN KEY (plan) REFERENCES public.plans(name);


--
-- Name: leases leases_server_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_server_fkey FOREIGN KEY (server) REFERENCES public.servers(name);


--
-- Name: leases leases_transit_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_transit_fkey FOREIGN KEY (transit) REFERENCES public.servers(name);


--
-- Name: ledger_entries ledger_entries_corrects_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ledger_entries
    ADD CONSTRAINT ledger_entries_corrects_fkey FOREIGN KEY (corrects) REFERENCES public.ledger_entries(id);


--
-- Name: ledger_entries ledger_entries_lease_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ledger_entries
    ADD CONSTRAINT ledger_entries_lease_fkey FOREIGN KEY (lease) REFERENCES public.leases(id);


--
-- Name: ledger_exports ledger_exports_through_entry_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ledger_exports
    ADD CONSTRAINT ledger_exports_through_entry_fkey FOREIGN KEY (through_entry) REFERENCES public.ledger_entries(id);


--
-- Name: migrations migrations_entry_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.migrations
    ADD CONSTRAINT migrations_entry_fkey FOREIGN KEY (entry) REFERENCES public.catalogue(name);


--
-- Name: migrations migrations_server_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.migrations
    ADD CONSTRAINT migrations_server_fkey FOREIGN KEY (server) REFERENCES public.servers(name);


--
-- Name: migrations migrations_transit_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.migrations
    ADD CONSTRAINT migrations_transit_fkey FOREIGN KEY (transit) REFERENCES public.servers(name);


--
-- Name: moves moves_account_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moves
    ADD CONSTRAINT moves_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(name);


--
-- Name: moves moves_entry_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moves
    ADD CONSTRAINT moves_entry_fkey FOREIGN KEY (entry) REFERENCES public.catalogue(name);


--
-- Name: moves moves_from_server_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moves
    ADD CONSTRAINT moves_from_server_fkey FOREIGN KEY (from_server) REFERENCES public.servers(name);


--
-- Name: moves moves_migration_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moves
    ADD CONSTRAINT moves_migration_fkey FOREIGN KEY (migration) REFERENCES public.migrations(id);


--
-- Name: moves moves_original_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moves
    ADD CONSTRAINT moves_original_fkey FOREIGN KEY (original) REFERENCES public.servers(name);


--
-- Name: moves moves_to_server_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.moves
    ADD CONSTRAINT moves_to_server_fkey FOREIGN KEY (to_server) REFERENCES public.servers(name);


--
-- Name: names names_account_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.names
    ADD CONSTRAINT names_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(name);


--
-- Name: plan_prices plan_prices_currency_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.plan_prices
    ADD CONSTRAINT plan_prices_currency_fkey FOREIGN KEY (currency) REFERENCES public.currencies(code);


--
-- Name: plan_prices plan_prices_plan_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.plan_prices
    ADD CONSTRAINT plan_prices_plan_fkey FOREIGN KEY (plan) REFERENCES public.plans(name);


--
-- Name: servers servers_plan_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.servers
    ADD CONSTRAINT servers_plan_fkey FOREIGN KEY (plan) REFERENCES public.plans(name);


--
-- Name: tests tests_account_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tests
    ADD CONSTRAINT tests_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(name);


--
-- Name: tests tests_entry_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tests
    ADD CONSTRAINT tests_entry_fkey FOREIGN KEY (entry) REFERENCES public.catalogue(name);


--
-- Name: tests tests_server_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tests
    ADD CONSTRAINT tests_server_fkey FOREIGN KEY (server) REFERENCES public.servers(name);


--
-- Name: transit_requests transit_requests_migration_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.transit_requests
    ADD CONSTRAINT transit_requests_migration_fkey FOREIGN KEY (migration) REFERENCES public.migrations(id);


--
-- Name: transit_requests transit_requests_plan_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.transit_requests
    ADD CONSTRAINT transit_requests_plan_fkey FOREIGN KEY (plan) REFERENCES public.plans(name);


--
-- Name: transit_requests transit_requests_transit_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.transit_requests
    ADD CONSTRAINT transit_requests_transit_fkey FOREIGN KEY (transit) REFERENCES public.servers(name);


--
-- Name: transitions transitions_subject_source_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_subject_source_fkey FOREIGN KEY (subject, source) REFERENCES public.states(subject, state);


--
-- Name: transitions transitions_subject_target_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_subject_target_fkey FOREIGN KEY (subject, target) REFERENCES public.states(subject, state);


--
-- PostgreSQL database dump complete
--


