CREATE OR REPLACE FUNCTION billing_notes_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_changes (lease) VALUES (NEW.id);
    RETURN NULL;
END $$;

CREATE TRIGGER billing_notes AFTER INSERT OR UPDATE OF handed_over_at, last_account_left_at, ended_at, plan ON leases
    FOR EACH ROW EXECUTE FUNCTION billing_notes_lease();
