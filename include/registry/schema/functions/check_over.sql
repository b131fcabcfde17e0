CREATE OR REPLACE FUNCTION check_over(move_ moves) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    entry_ catalogue;
    target servers;
    other text;
BEGIN
    SELECT * INTO entry_ FROM catalogue WHERE name = move_.entry;
    IF move_.engine IS DISTINCT FROM nullif(entry_.kind, 'infrastructure') THEN
        PERFORM refuse(format('Entry %s is one of %s: a move of %s was refused.', entry_.name, entry_.kind,
            coalesce(move_.engine, 'the whole account')));
    END IF;
    PERFORM check_leaves(move_.account, move_.entry, move_.lift_gate_because);
    PERFORM pg_advisory_xact_lock(7203102);
    SELECT * INTO target FROM servers WHERE name = move_.to_server;
    IF target.kind <> (CASE entry_.kind WHEN 'infrastructure' THEN 'shared' ELSE 'database' END)
        OR target.state <> 'serving'
    THEN
        PERFORM refuse(format('%s is a %s server and %s: %s goes to a %s server that serves.', target.name, target.kind,
            target.state, entry_.name, CASE entry_.kind WHEN 'infrastructure' THEN 'shared' ELSE 'database' END));
    END IF;
    IF version_of(target.infrastructure, target.versions, entry_.kind) <> entry_.to_version
        OR target.host_key IS NULL
    THEN
        PERFORM refuse(format('Server %s is not enrolled with %s %s: choose one that is.',
            target.name, entry_.kind, entry_.to_version));
    END IF;
    SELECT s.name INTO other FROM servers s
    WHERE s.name IN (move_.from_server, move_.to_server) AND most_moves_a_server() <= (
        SELECT count(*) FROM live_moves m
        WHERE s.name IN (m.from_server, m.to_server) AND m.direction = 'over'
            AND m.id IS DISTINCT FROM move_.id
    ) ORDER BY s.name LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Server % takes part in % moves, the most at a time: wait until one has ended.',
            other, most_moves_a_server() USING ERRCODE = 'TH002';
    END IF;
END $$;
