CREATE OR REPLACE FUNCTION plan_price_fits_currency() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF scale(trim_scale(NEW.monthly_price)) > (SELECT minor_digits FROM currencies WHERE code = NEW.currency) THEN
        RAISE EXCEPTION 'A price of % has more decimals than % has: round it.', NEW.monthly_price, NEW.currency
            USING ERRCODE = 'TH001';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER fits_currency BEFORE INSERT OR UPDATE ON plan_prices
    FOR EACH ROW EXECUTE FUNCTION plan_price_fits_currency();
