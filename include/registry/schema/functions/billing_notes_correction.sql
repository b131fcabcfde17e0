CREATE OR REPLACE FUNCTION billing_notes_correction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_changes (lease) VALUES (NEW.lease);
    RETURN NULL;
END $$;

CREATE TRIGGER billing_notes AFTER INSERT ON lease_corrections
    FOR EACH ROW EXECUTE FUNCTION billing_notes_correction();
