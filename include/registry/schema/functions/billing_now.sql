-- The clock of billing. A lab moves it: ALTER DATABASE ... SET transhumance.clock_offset = '9 days'.
CREATE OR REPLACE FUNCTION billing_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT now() + coalesce(nullif(current_setting('transhumance.clock_offset', true), '')::interval, '0')
$$;
