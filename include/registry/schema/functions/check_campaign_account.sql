-- What is paused or stopped begins nothing more; what an account has begun goes on to its end.
CREATE OR REPLACE FUNCTION check_campaign_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    state_ text;
BEGIN
    IF (NEW.campaign, NEW.account, NEW.wave) IS DISTINCT FROM (OLD.campaign, OLD.account, OLD.wave) THEN
        PERFORM refuse(format('Account %s keeps its wave of campaign %s: begin another campaign.',
            NEW.account, NEW.campaign));
    END IF;
    IF NEW.state <> OLD.state AND OLD.state = 'waiting' AND NEW.state IN ('testing', 'performing') THEN
        SELECT state INTO state_ FROM campaigns WHERE id = NEW.campaign FOR SHARE;
        IF state_ <> 'running' THEN
            PERFORM refuse(format('Campaign %s is %s: account %s is not begun.', NEW.campaign, state_, NEW.account));
        END IF;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER b_facts BEFORE UPDATE ON campaign_accounts FOR EACH ROW EXECUTE FUNCTION check_campaign_account();
