CREATE OR REPLACE FUNCTION outbox_message_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A message of the outbox keeps its key, kind and payload: write a new one.'
        USING ERRCODE = 'TH001';
END $$;

CREATE TRIGGER message_stays BEFORE UPDATE OF id, key, kind, payload, created_at ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_message_stays();
