CREATE OR REPLACE FUNCTION check_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    subject_ text := TG_ARGV[0];
    allowed text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (
            SELECT FROM states s WHERE s.subject = subject_ AND s.state = NEW.state AND s.initial
        ) THEN
            SELECT string_agg(state, ' or ' ORDER BY state) INTO allowed
            FROM states s WHERE s.subject = subject_ AND s.initial;
            PERFORM refuse(format('A %s cannot begin as %s: it begins as %s.',
                subject_, coalesce(NEW.state, 'nothing'), allowed));
        END IF;
    ELSIF NEW.state IS DISTINCT FROM OLD.state THEN
        IF NOT EXISTS (
            SELECT FROM transitions t
            WHERE t.subject = subject_ AND t.source = OLD.state AND t.target = NEW.state
        ) THEN
            SELECT string_agg(target, ', ' ORDER BY target) INTO allowed
            FROM transitions t WHERE t.subject = subject_ AND t.source = OLD.state;
            PERFORM refuse(format('A %s cannot go from %s to %s: from there it can go %s.',
                subject_, OLD.state, coalesce(NEW.state, 'nothing'), coalesce('to ' || allowed, 'nowhere')));
        END IF;
        NEW.state_since := now();
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON campaign_accounts
    FOR EACH ROW EXECUTE FUNCTION check_transition('campaign_account');
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON campaigns
    FOR EACH ROW EXECUTE FUNCTION check_transition('campaign');
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON migrations
    FOR EACH ROW EXECUTE FUNCTION check_transition('migration');
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON moves FOR EACH ROW EXECUTE FUNCTION check_transition('move');
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON servers
    FOR EACH ROW EXECUTE FUNCTION check_transition('server');
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON tests FOR EACH ROW EXECUTE FUNCTION check_transition('test');
CREATE TRIGGER a_transition BEFORE INSERT OR UPDATE ON transit_requests
    FOR EACH ROW EXECUTE FUNCTION check_transition('request');
