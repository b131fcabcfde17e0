-- The registry's commit: from the same transaction on the account, or what of it was moved, lives elsewhere. One that
-- has moved over belongs there, and its names lead there when nothing moves.
CREATE OR REPLACE FUNCTION commit_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.engine IS NOT NULL THEN
        INSERT INTO account_engines (account, engine, server) VALUES (NEW.account, NEW.engine, NEW.to_server);
    ELSIF NEW.direction = 'over' THEN
        UPDATE accounts SET server = NEW.to_server, home_server = NEW.to_server WHERE name = NEW.account;
        UPDATE names n SET address = i.address
        FROM (
            SELECT DISTINCT ON (family(address)) family(address) AS family, address
            FROM ips WHERE home_server = NEW.to_server ORDER BY family(address), address
        ) i
        WHERE n.account = NEW.account AND family(n.address) = i.family
            AND n.address IN (SELECT address FROM ips WHERE home_server = NEW.from_server);
    ELSE
        UPDATE accounts SET server = NEW.to_server WHERE name = NEW.account;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER commit AFTER UPDATE ON moves
    FOR EACH ROW WHEN (new.state = 'committed'::text AND old.state <> 'committed'::text) EXECUTE FUNCTION commit_move();
