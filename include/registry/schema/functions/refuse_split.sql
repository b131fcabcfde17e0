-- An account that has left some of its databases to another server is moved no further by us.
CREATE OR REPLACE FUNCTION refuse_split(account_ text, kind_ text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    away account_engines;
BEGIN
    SELECT * INTO away FROM account_engines
    WHERE account = account_ AND kind_ IN ('infrastructure', engine) ORDER BY engine LIMIT 1;
    IF FOUND THEN
        PERFORM refuse(format('The %s databases of account %s live on %s: this entry cannot take them from there.',
            away.engine, account_, away.server));
    END IF;
END $$;
