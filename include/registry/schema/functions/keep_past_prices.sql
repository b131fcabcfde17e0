-- A price that has held is history; one that has not begun may still be corrected.
CREATE OR REPLACE FUNCTION keep_past_prices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.valid_from <= current_date THEN
        PERFORM refuse(format('The price of plan %s from %s has been in force: add a price from a later day.',
            OLD.plan, OLD.valid_from));
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE TRIGGER keep_past BEFORE DELETE OR UPDATE ON plan_prices FOR EACH ROW EXECUTE FUNCTION keep_past_prices();
