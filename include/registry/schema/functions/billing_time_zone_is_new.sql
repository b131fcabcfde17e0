CREATE OR REPLACE FUNCTION billing_time_zone_is_new() RETURNS trigger LANGUAGE plpgsql AS $$
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
