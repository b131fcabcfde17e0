-- What an entry changes the version of: the infrastructure, or one engine.
CREATE OR REPLACE FUNCTION check_entry_kind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind <> 'infrastructure' AND NOT EXISTS (SELECT FROM engines WHERE name = NEW.kind) THEN
        PERFORM refuse(format('A catalogue entry''s kind is infrastructure, or an engine (%s): give one of these.',
            (SELECT string_agg(name, ', ' ORDER BY name) FROM engines)));
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER c_kind BEFORE INSERT OR UPDATE ON catalogue FOR EACH ROW EXECUTE FUNCTION check_entry_kind();
