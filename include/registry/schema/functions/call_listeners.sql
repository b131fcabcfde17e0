CREATE OR REPLACE FUNCTION call_listeners() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('events', '');
    RETURN NULL;
END $$;

CREATE TRIGGER z_call AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION call_listeners();
