CREATE OR REPLACE FUNCTION billing_notes_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_changes (plan)
    SELECT DISTINCT p FROM unnest(ARRAY[NEW.plan, OLD.plan]) p WHERE p IS NOT NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_notes AFTER INSERT OR DELETE OR UPDATE ON plan_prices
    FOR EACH ROW EXECUTE FUNCTION billing_notes_price();
