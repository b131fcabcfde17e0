-- What speaks against an account's leaving its server for good, wherever to.
CREATE OR REPLACE FUNCTION check_leaves(account_ text, entry_name text, lift_gate_because text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    entry_ catalogue;
    source servers;
BEGIN
    SELECT * INTO entry_ FROM catalogue WHERE name = entry_name;
    SELECT s.* INTO source FROM servers s JOIN accounts a ON a.server = s.name WHERE a.name = account_;
    IF source.kind <> 'shared' THEN
        PERFORM refuse(format('Account %s lives on %s, a %s server: it is performed in that server''s migration.',
            account_, source.name, source.kind));
    END IF;
    PERFORM refuse_split(account_, entry_.kind);
    IF version_of(source.infrastructure, source.versions, entry_.kind) <> entry_.from_version THEN
        PERFORM refuse(format('Server %s runs %s %s, but %s starts from %s: choose another entry of the catalogue.',
            source.name, entry_.kind, version_of(source.infrastructure, source.versions, entry_.kind), entry_.name,
            entry_.from_version));
    END IF;
    IF lift_gate_because IS NULL THEN
        PERFORM refuse_untested(ARRAY[account_], entry_.name);
    END IF;
END $$;
