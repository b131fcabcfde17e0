-- Visitors come by an IP as long as accounts belong to its server: names that lead to it may be kept elsewhere.
CREATE OR REPLACE FUNCTION check_ip_goes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who text;
BEGIN
    who := under_way(OLD.home_server);
    IF who IS NOT NULL OR OLD.routed_to <> OLD.home_server THEN
        PERFORM refuse(format('IP %s of %s takes part in %s: take it away when that has ended.', host(OLD.address),
            OLD.home_server, coalesce(who, format('a migration, and is routed to %s', OLD.routed_to))));
    END IF;
    SELECT string_agg(name, ', ' ORDER BY name) INTO who FROM (
        SELECT name FROM accounts WHERE home_server = OLD.home_server AND removed_at IS NULL ORDER BY name LIMIT 10
    ) a;
    IF who IS NOT NULL THEN
        PERFORM refuse(format('Accounts of %s are visited by IP %s (%s): move them before it is taken away.',
            OLD.home_server, host(OLD.address), who));
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER b_goes BEFORE DELETE ON ips FOR EACH ROW EXECUTE FUNCTION check_ip_goes();
