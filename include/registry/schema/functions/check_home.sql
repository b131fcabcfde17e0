CREATE OR REPLACE FUNCTION check_home() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    home servers;
BEGIN
    SELECT * INTO home FROM servers WHERE name = NEW.home_server;
    IF home.kind IN ('transit', 'test', 'database') THEN
        PERFORM refuse(format('%s is a %s: an account''s home is a shared, dedicated or VPS server.', home.name,
            CASE home.kind WHEN 'transit' THEN home.kind ELSE home.kind || ' server' END));
    END IF;
    IF home.customer <> NEW.customer THEN
        PERFORM refuse(format('Server %s of account %s is customer %s''s: its accounts are too.',
            home.name, NEW.name, home.customer));
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER c_home BEFORE INSERT OR UPDATE OF home_server, customer ON accounts
    FOR EACH ROW EXECUTE FUNCTION check_home();
