CREATE OR REPLACE FUNCTION tell_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.customer := customer_of_event(NEW.account, NEW.migration, NEW.server);
    RETURN NEW;
END $$;

CREATE TRIGGER b_customer BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION tell_customer();
