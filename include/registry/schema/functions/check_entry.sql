-- What has begun through an entry goes on to the version that it began for.
CREATE OR REPLACE FUNCTION check_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.name, NEW.kind, NEW.from_version, NEW.to_version)
        IS DISTINCT FROM (OLD.name, OLD.kind, OLD.from_version, OLD.to_version)
        AND (
            EXISTS (SELECT FROM migrations WHERE entry = OLD.name)
            OR EXISTS (SELECT FROM tests WHERE entry = OLD.name)
            OR EXISTS (SELECT FROM moves WHERE entry = OLD.name)
            OR EXISTS (SELECT FROM campaigns WHERE entry = OLD.name)
        )
    THEN
        PERFORM refuse(format('Catalogue entry %s has been used: give other versions a name of their own.', OLD.name));
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE UPDATE ON catalogue FOR EACH ROW EXECUTE FUNCTION check_entry();
