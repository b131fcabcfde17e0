CREATE OR REPLACE FUNCTION lease_free_days_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The free days of lease % were fixed at its hand-over: enter a correction of the lease.', OLD.id
        USING ERRCODE = 'TH001';
END $$;

CREATE TRIGGER free_days_stay BEFORE UPDATE ON leases
    FOR EACH ROW WHEN (new.free_days <> old.free_days) EXECUTE FUNCTION lease_free_days_stay();
