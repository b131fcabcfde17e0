CREATE OR REPLACE FUNCTION check_campaign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.entry, NEW.run_id, NEW.settings) IS DISTINCT FROM (OLD.entry, OLD.run_id, OLD.settings) THEN
        PERFORM refuse(format('Campaign %s keeps its entry and its settings: stop it and begin another.', NEW.id));
    END IF;
    IF NEW.state <> OLD.state AND NEW.state IN ('done', 'stopped') THEN
        NEW.ended_at := now();
    END IF;
    IF NEW.state <> OLD.state AND NEW.state = 'done' AND EXISTS (
        SELECT FROM live_campaign_accounts WHERE campaign = NEW.id
    ) THEN
        PERFORM refuse(format('Campaign %s has accounts left: it is done when all of them have ended.', NEW.id));
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE UPDATE ON campaigns FOR EACH ROW EXECUTE FUNCTION check_campaign();
