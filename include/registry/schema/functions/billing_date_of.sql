-- The date of an instant.
CREATE OR REPLACE FUNCTION billing_date_of(instant timestamptz) RETURNS date LANGUAGE sql STABLE AS $$
    SELECT day
    FROM billing_calendar((instant AT TIME ZONE 'UTC')::date - 2, (instant AT TIME ZONE 'UTC')::date + 2)
    WHERE begins <= instant AND instant < ends
$$;
