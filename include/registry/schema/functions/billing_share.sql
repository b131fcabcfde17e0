-- total / parts, rounded half up to `digits` decimals, without an inexact quotient in between.
CREATE OR REPLACE FUNCTION billing_share(total numeric, parts integer, digits integer) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
    SELECT round(
        div(2 * total * power(10::numeric, digits) + parts, 2 * parts) / power(10::numeric, digits), digits
    )
$$;
